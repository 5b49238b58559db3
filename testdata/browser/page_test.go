//go:build browser

package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(t *testing.T) string
		want []string // role and pattern of the accessible name
	}{
		{"as-is", makeAsIs, []string{
			`heading Can the snapshot be trusted\?`,
			`heading legacy-export warning`,
			`figure Variants of the 1,723 rows that got one`,
			`image Split: control 50\.9 %, treatment 49\.1 %`,
			`image Expected: control 50\.0 %, annual-first 30\.0 %, discount 20\.0 %`,
			`image With a variant 24\.1 %, expected 26\.1 %`,
			`table Variants of checkout-redesign`,
			`rowheader treatment`,
			`cell 846`,
			`list Findings`,
		}},
		{"cohorts", makeCohorts, []string{
			`link vip`,
			`heading Cohorts`,
			`heading nobody`,
			`table What the members of vip got`,
			`columnheader Of everybody`,
			`rowheader checkout-redesign`,
			`heading By cohort\.vip.*`,
		}},
		{"planted", makePlanted, []string{
			`heading ALERT Not as it should be: .*`,
			`image control 76\.8 %, treatment 23\.2 %`,
			`image With a variant 24\.1 %, expected 43\.5 %`,
			`cell .*although they exclude each other`,
			`link pricing-test`,
			`DisclosureTriangle \d+ more slices by city`,
		}},
		{"hostile", makeHostile, []string{
			`heading <script>alert\(1\)</script> .*`,
			`link "><img src=x onerror=alert\(1\)>`,
			`table Variants of תשלום-מהיר`,
			`rowheader tab\\there\\x1b\[31m`,
		}},
		{"diff", makeDiff, []string{
			`heading CHANGED .* users in both changed .*`,
			`heading After: after.csv complete`,
			`link pricing-test`,
			`figure Who had what before, and has what after`,
			`image Before: control 43\.9 %, treatment 42\.4 %, not assigned 13\.7 %`,
			`table Users by what they had before \(rows\) and have after \(columns\)`,
			`columnheader annual-first`,
		}},
		{"hostile-diff", makeHostileDiff, []string{
			`heading <script>alert\(1\)</script>`,
			`rowheader \\u202egnorw yaw eht\\u202c`,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := test.make(t)
			p := openPage(t, file)
			p.checkKeyboard(t)
			for _, width := range []int{390, 1280} {
				for _, scheme := range []string{"light", "dark"} {
					p.setScreen(t, width, scheme)
					p.checkWidth(t, width)
					p.checkFirstScreen(t, width)
					p.saveScreenshot(t, width, fmt.Sprintf("%s-%d-%s", test.name, width, scheme))
				}
			}
			p.checkAccessibility(t, test.want)
			p.savePDF(t, test.name)
			p.checkSilence(t, file)
		})
	}
}

// page is an open page.
type page struct {
	session string
}

// call calls Chromium.
func (p *page) call(t *testing.T, method string, params, out any) {
	t.Helper()
	if err := chrome.call(p.session, method, params, out); err != nil {
		t.Fatal(err)
	}
}

// openPage opens a file, and waits until it is loaded.
func openPage(t *testing.T, file string) *page {
	t.Helper()
	p := &page{}
	var target struct{ TargetID string }
	p.call(t, "Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	p.call(t, "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log", "Accessibility"} {
		p.call(t, domain+".enable", nil, nil)
	}
	t.Cleanup(func() { _ = chrome.call("", "Target.closeTarget", map[string]any{"targetId": target.TargetID}, nil) })
	var navigated struct{ ErrorText string }
	p.call(t, "Page.navigate", map[string]any{"url": "file://" + file}, &navigated)
	if navigated.ErrorText != "" {
		t.Fatalf("open %s: %s", file, navigated.ErrorText)
	}
	var ready bool
	p.evaluate(t, `new Promise(done => { if (document.readyState === "complete") done(true); else addEventListener("load", () => done(true)) })`, &ready)
	return p
}

// evaluate evaluates an expression in the page, which itself has no script.
func (p *page) evaluate(t *testing.T, expression string, out any) {
	t.Helper()
	var result struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	p.call(t, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true},
		&result)
	if result.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, result.ExceptionDetails)
	}
	if err := json.Unmarshal(result.Result.Value, out); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

// screen is the height of the window.
const screen = 844

// setScreen sets the width of the window and the colour scheme.
func (p *page) setScreen(t *testing.T, width int, scheme string) {
	t.Helper()
	p.call(t, "Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": screen,
		"deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{"media": "",
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	var background string
	p.evaluate(t, "getComputedStyle(document.body).backgroundColor", &background)
	if light := background == "rgb(255, 255, 255)"; light != (scheme == "light") {
		t.Errorf("in %s mode the background is %s", scheme, background)
	}
}

// checkWidth checks that nothing is wider than the window, folded or not.
func (p *page) checkWidth(t *testing.T, width int) {
	t.Helper()
	var over []string
	p.evaluate(t, `(() => {
		const folded = [...document.querySelectorAll("details")].filter(d => !d.open);
		folded.forEach(d => d.open = true);
		const over = [];
		if (document.documentElement.scrollWidth > innerWidth) over.push("the page: " + document.documentElement.scrollWidth);
		for (const e of document.body.querySelectorAll("*")) {
			const r = e.getBoundingClientRect();
			if (r.right > innerWidth + 1 || r.left < -1) over.push(e.outerHTML.slice(0, 80) + " ends at " + r.right);
			else if (e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1 && getComputedStyle(e).overflowX !== "visible") over.push(e.outerHTML.slice(0, 80) + " is cut");
		}
		folded.forEach(d => d.open = false);
		return over;
	})()`, &over)
	if len(over) > 0 {
		t.Errorf("at %d pixels too wide:\n%s", width, strings.Join(over[:min(len(over), 10)], "\n"))
	}
}

// checkFirstScreen checks that the verdict and the first findings are on the first screen.
func (p *page) checkFirstScreen(t *testing.T, width int) {
	t.Helper()
	var bottoms []float64
	p.evaluate(t, `[...document.querySelectorAll("#verdict > h2, #verdict > ul > li:nth-child(-n+2)")].map(e => e.getBoundingClientRect().bottom + scrollY)`, &bottoms)
	if len(bottoms) < 3 || slices.Max(bottoms) > screen {
		t.Errorf("at %d pixels the verdict and two findings end at %.0f, want on the first screen of %d", width, bottoms,
			screen)
	}
}

// checkKeyboard checks that the first thing that the keyboard reaches leads to the verdict.
func (p *page) checkKeyboard(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		p.call(t, "Input.dispatchKeyEvent", map[string]any{"type": kind, "key": "Tab", "code": "Tab",
			"windowsVirtualKeyCode": 9}, nil)
	}
	var focused []string
	p.evaluate(t, `[document.activeElement.className, document.activeElement.getBoundingClientRect().top >= 0 ? "seen" : "hidden"]`, &focused)
	if !slices.Equal(focused, []string{"skip", "seen"}) {
		t.Errorf("the first thing that the keyboard reaches is %q, want the link to the verdict", focused)
	}
	p.evaluate(t, "document.activeElement.blur(), scrollTo(0, 0), []", &focused)
}

// tall is how much of a page is in its picture: all but of the longest ones.
const tall = 9000

// saveScreenshot saves a picture of the page.
func (p *page) saveScreenshot(t *testing.T, width int, name string) {
	t.Helper()
	var shot struct{ Data string }
	var height float64
	p.evaluate(t, "document.documentElement.scrollHeight", &height)
	clip := map[string]any{"x": 0, "y": 0, "width": width, "height": min(height, tall), "scale": 1}
	p.call(t, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true,
		"optimizeForSpeed": true, "clip": clip}, &shot)
	saveFile(t, name+".png", shot.Data)
}

func saveFile(t *testing.T, name, encoded string) {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = os.WriteFile(filepath.Join(outDir, name), data, 0o666)
	}
	if err != nil || len(data) < 1000 {
		t.Errorf("%s: %d bytes, %v", name, len(data), err)
	}
}

// savePDF saves a PDF, and checks that on paper everything is unfolded, and nothing in dark mode.
func (p *page) savePDF(t *testing.T, name string) {
	t.Helper()
	p.call(t, "Emulation.setEmulatedMedia", map[string]any{"media": "print",
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	var hidden []string
	p.evaluate(t, `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done( // what is not shown is laid out late
		[...document.querySelectorAll("details li, details tr")].filter(e => !e.checkVisibility() || e.getBoundingClientRect().height < 5).map(e => e.textContent.slice(0, 80))))))`, &hidden)
	if len(hidden) > 0 {
		t.Errorf("%d things are not on paper, %q for example", len(hidden), hidden[0])
	}
	var background string
	p.evaluate(t, "getComputedStyle(document.body).backgroundColor", &background)
	if background != "rgb(255, 255, 255)" {
		t.Errorf("paper is %s", background)
	}
	var pdf struct{ Data string }
	p.call(t, "Page.printToPDF", map[string]any{"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": true}, &pdf)
	saveFile(t, name+".pdf", pdf.Data)
}

// node is what a screen reader knows of a thing.
type node struct {
	Ignored bool
	Role    struct{ Value string }
	Name    struct{ Value string }

	Properties []struct {
		Name  string
		Value struct{ Value any }
	}
}

// checkAccessibility checks the accessibility tree: it has what is wanted, and nothing without a name.
func (p *page) checkAccessibility(t *testing.T, want []string) {
	t.Helper()
	var tree struct{ Nodes []node }
	p.call(t, "Accessibility.getFullAXTree", nil, &tree)
	landmarks := map[string]int{}
	var all []string
	level := 0
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		role, name := n.Role.Value, strings.Join(strings.Fields(n.Name.Value), " ")
		all = append(all, role+" "+strings.TrimSpace(name))
		switch role {
		case "main", "banner", "contentinfo", "navigation":
			landmarks[role]++
		case "image", "img", "figure", "table", "heading", "link", "region", "article", "columnheader", "rowheader":
			if strings.TrimSpace(name) == "" {
				t.Errorf("a %s has no name", role)
			}
		}
		if role == "heading" {
			for _, property := range n.Properties {
				if property.Name == "level" {
					next := int(property.Value.Value.(float64))
					if next > level+1 {
						t.Errorf("heading %q is of level %d, after one of level %d", name, next, level)
					}
					level = next
				}
			}
		}
	}
	for _, role := range []string{"main", "banner", "contentinfo", "navigation"} {
		if landmarks[role] != 1 {
			t.Errorf("the page has %d landmarks %s, want 1", landmarks[role], role)
		}
	}
	for _, pattern := range want {
		if re := regexp.MustCompile("^" + pattern + "$"); !slices.ContainsFunc(all, re.MatchString) {
			role, _, _ := strings.Cut(pattern, " ")
			var same []string
			for _, text := range all {
				if strings.HasPrefix(text, role+" ") {
					same = append(same, text)
				}
			}
			t.Errorf("nothing is called %q; of that role are %q", pattern, same[:min(len(same), 40)])
		}
	}
}

// checkSilence checks that the page logged nothing, and requested nothing but itself.
func (p *page) checkSilence(t *testing.T, file string) {
	t.Helper()
	for _, m := range chrome.eventsOf(p.session) {
		switch m.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
			t.Errorf("the page said %s: %s", m.Method, m.Params)
		case "Network.requestWillBeSent":
			var sent struct{ Request struct{ URL string } }
			if err := json.Unmarshal(m.Params, &sent); err != nil {
				t.Fatal(err)
			}
			if sent.Request.URL != "file://"+file {
				t.Errorf("the page asked for %s", sent.Request.URL)
			}
		}
	}
}
