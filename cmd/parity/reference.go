package main

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/rollcall-cli/rollcall/pipeline"
)

//go:embed reference.js
var referenceJS string

// request is what the reference is asked: the variants of the flags in asked for each of the users.
type request struct {
	flags, users pipeline.Value
	keys         []string // nil: all
	asked        []string
	bare         bool
	patterns     []string // regular expressions that are refused here
}

func (r *request) appendTo(dst []byte) []byte {
	dst = r.flags.AppendJSON(append(dst, `{"flags":`...))
	dst = r.users.AppendJSON(append(dst, `,"users":`...))
	if r.keys != nil {
		dst = makeTextList(r.keys).AppendJSON(append(dst, `,"keys":`...))
	}
	dst = makeTextList(r.asked).AppendJSON(append(dst, `,"asked":`...))
	dst = makeTextList(r.patterns).AppendJSON(append(dst, `,"patterns":`...))
	return append(strconv.AppendBool(append(dst, `,"bare":`...), r.bare), '}', '\n')
}

// response is its answer.
type response struct {
	Answers  []int             `json:"answers"`  // user by user and flag by flag: an index of Variants, -1 is none
	Variants []referredVariant `json:"variants"` // each once
	Compiles []bool            `json:"compiles"` // the patterns
	Error    string            `json:"error"`    // what was thrown
}

type referredVariant struct {
	Variant struct {
		Key      string          `json:"key"`
		Value    json.RawMessage `json:"value"`
		Payload  json.RawMessage `json:"payload"`
		Metadata map[string]any  `json:"metadata"`
	} `json:"variant"`
	Text string `json:"text"` // the value as the SDKs give it
}

// reference answers requests in their order. Send and receive may run in two goroutines.
type reference interface {
	send(*request) error
	receive() (*response, error)
}

// node is the reference in a process of its own.
type node struct {
	cmd      *exec.Cmd
	in       *bufio.Writer
	out      *bufio.Reader
	end      io.Closer
	versions string // its versions

	line []byte
}

func startNode(modules string) (*node, error) {
	cmd := exec.Command("node", "-e", referenceJS, modules)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	n := &node{cmd: cmd, in: bufio.NewWriterSize(in, 1<<16), out: bufio.NewReaderSize(out, 1<<20), end: in}
	var hello struct{ Core, Server, Node string }
	line, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		return nil, fmt.Errorf("node does not start with the modules in %s (npm ci --prefix testdata/node puts them there): %w", modules, err)
	}
	n.versions = fmt.Sprintf("experiment-core %s, experiment-node-server %s, Node %s", hello.Core, hello.Server, hello.Node)
	if hello.Core != "0.13.6" || hello.Server != "1.13.6" {
		return nil, fmt.Errorf("%s: the reference is experiment-core 0.13.6 and experiment-node-server 1.13.6", n.versions)
	}
	return n, nil
}

func (n *node) send(r *request) error {
	n.line = r.appendTo(n.line[:0])
	if _, err := n.in.Write(n.line); err != nil {
		return err
	}
	return n.in.Flush()
}

func (n *node) receive() (*response, error) {
	line, err := n.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("node went away: %w", err)
	}
	r := &response{}
	return r, json.Unmarshal(line, r)
}

func (n *node) close() error {
	if err := n.end.Close(); err != nil {
		return err
	}
	return n.cmd.Wait()
}
