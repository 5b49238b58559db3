//go:build browser

// Package browser looks at the HTML pages of rollcall with Chromium, as those do who get them: on a phone and a desk,
// by day and by night, on paper, and through the accessibility tree, which is what a screen reader reads out.
//
//	make browser
//
// It is a test and nothing else, with the build tag browser, because it needs Chromium; install.sh installs that.
//
//   - main_test.go builds the command, makes the pages with it from runs over the test users, and starts one Chromium.
//   - runs_test.go has these runs: as they are, with findings planted, and with names that would break a page.
//   - page_test.go is what must hold for each page. It leaves screenshots and the PDF in out/browser, to be looked at.
//   - chromium_test.go talks to Chromium: the DevTools protocol over a pipe, which needs no library and no port.
package browser
