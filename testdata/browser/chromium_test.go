//go:build browser

package browser

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// patience is how long Chromium may take for one answer, and to start. It only ends a hang.
const patience = 5 * time.Minute

// chromium is a running Chromium without a window. It speaks the DevTools protocol over two pipes, JSON messages that
// end with a zero byte (--remote-debugging-pipe; content/browser/devtools/devtools_pipe_handler.cc).
// It ends when the pipe does, so also if the test is killed.
type chromium struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	stderr bytes.Buffer

	mu      sync.Mutex
	last    int
	answers map[int]chan message
	events  map[string][]message // by session
	err     error
}

type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

// startChromium starts one with a profile of its own in dir.
func startChromium(dir string) (*chromium, error) {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		return nil, errors.New("there is no Chromium: testdata/browser/install.sh installs it")
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &chromium{in: in, answers: map[int]chan message{}, events: map[string][]message{}}
	// As root its sandbox does not work (--no-sandbox). It opens only files that this test wrote. /dev/shm is small in
	// containers. The others keep it from looking for updates and the like.
	c.cmd = exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--remote-debugging-pipe",
		"--user-data-dir="+dir, "--no-first-run", "--disable-extensions", "--disable-background-networking",
		"--disable-component-update",
		"--disable-sync", "--hide-scrollbars", "--font-render-hinting=none", "--lang=en-US")
	c.cmd.ExtraFiles = []*os.File{theirIn, theirOut} // its file descriptors 3 and 4
	c.cmd.Stderr = &c.stderr
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it is many processes, and all of them must end
	err = c.cmd.Start()
	if err := errors.Join(err, theirIn.Close(), theirOut.Close()); err != nil {
		return nil, err
	}
	go c.readMessages(out)
	return c, nil
}

// kill ends it and all of its processes.
func (c *chromium) kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	_ = c.cmd.Wait()
}

// readMessages receives answers and events until Chromium ends.
func (c *chromium) readMessages(out io.Reader) {
	r := bufio.NewReaderSize(out, 1<<20)
	for {
		data, err := r.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(data[:len(data)-1], &m)
		}
		c.mu.Lock()
		if err != nil {
			c.err = fmt.Errorf("chromium has ended: %w", err)
			for _, answer := range c.answers {
				close(answer)
			}
			c.answers = nil
			c.mu.Unlock()
			return
		}
		if m.ID != 0 {
			c.answers[m.ID] <- m
			delete(c.answers, m.ID)
		} else {
			c.events[m.SessionID] = append(c.events[m.SessionID], m)
		}
		c.mu.Unlock()
	}
}

// call has it do something, and decodes the result into out, which may be nil.
func (c *chromium) call(session, method string, params, out any) error {
	encoded, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		encoded = []byte("{}")
	}
	c.mu.Lock()
	if c.answers == nil {
		c.mu.Unlock()
		return c.err
	}
	c.last++
	answer := make(chan message, 1)
	c.answers[c.last] = answer
	data, err := json.Marshal(message{ID: c.last, SessionID: session, Method: method, Params: encoded})
	if err == nil {
		_, err = c.in.Write(append(data, 0))
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case m, open := <-answer:
		if !open {
			return fmt.Errorf("%s: %w\n%s", method, c.err, c.stderr.String())
		}
		if m.Error != nil {
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(m.Result, out)
	case <-time.After(patience):
		return fmt.Errorf("%s: no answer within %s", method, patience)
	}
}

// eventsOf are the events of a session until now.
func (c *chromium) eventsOf(session string) []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]message(nil), c.events[session]...)
}
