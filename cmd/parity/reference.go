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
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

//go:embed hosted.js
var hostedJS string

//go:embed reference.js
var referenceJS string

// request asks the reference for the variants of the flags in asked for each user.
type request struct {
	flags, users pipeline.Value
	keys         []string // nil for all
	asked        []string
	bare         bool
	patterns     []string // regular expressions that this engine refuses
	probes       []string // flags with one condition, for which the hosted reference counts the rules that decide
}

func (r *request) appendTo(dst []byte) []byte {
	dst = r.flags.AppendJSON(append(dst, `{"flags":`...))
	dst = r.users.AppendJSON(append(dst, `,"users":`...))
	if r.keys != nil {
		dst = makeTextList(r.keys).AppendJSON(append(dst, `,"keys":`...))
	}
	dst = makeTextList(r.asked).AppendJSON(append(dst, `,"asked":`...))
	dst = makeTextList(r.patterns).AppendJSON(append(dst, `,"patterns":`...))
	dst = makeTextList(r.probes).AppendJSON(append(dst, `,"probes":`...))
	return append(strconv.AppendBool(append(dst, `,"bare":`...), r.bare), '}', '\n')
}

// response is the answer of the reference.
type response struct {
	Answers  []int             `json:"answers"`  // by user, then by flag: an index of Variants, or none or unknown
	Variants []referredVariant `json:"variants"` // each variant once
	Compiles []bool            `json:"compiles"` // whether each of the patterns does
	Rules    [][2]int          `json:"rules"`    // see coverage
	Error    string            `json:"error"`    // of an exception
}

// Answers that are not variants. Nobody can say what the hosted API answers where Java's versions differ.
const (
	noVariant     = -1
	unknownAnswer = -2
)

type referredVariant struct {
	Variant struct {
		Key      string          `json:"key"`
		Value    json.RawMessage `json:"value"`
		Payload  json.RawMessage `json:"payload"`
		Metadata map[string]any  `json:"metadata"`
	} `json:"variant"`
	Text string `json:"text"` // the value in the form of the SDKs
}

// reference answers requests in order. send and receive may run in different goroutines.
type reference interface {
	send(*request) error
	receive() (*response, error)
}

// node is the reference in a Node process.
type node struct {
	semantics engine.Semantics
	cmd       *exec.Cmd
	in        *bufio.Writer
	out       *bufio.Reader
	end       io.Closer
	versions  string // of the packages and of Node

	line []byte
}

// startNode starts the reference. That of the hosted API has to give all the answers recorded in vectors first.
func startNode(modules string, semantics engine.Semantics, vectors string) (*node, error) {
	cmd := exec.Command("node", "-e", hostedJS+referenceJS, modules, semantics.String(), vectors)
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
	n := &node{semantics: semantics, cmd: cmd, in: bufio.NewWriterSize(in, 1<<16), out: bufio.NewReaderSize(out, 1<<20), end: in}
	var hello struct {
		Core, Server, Node string
		Vectors            struct {
			Checked int
			Differ  []string
		}
	}
	line, err := n.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &hello)
	}
	if err != nil {
		return nil, fmt.Errorf("start node with the modules in %s (npm ci --prefix testdata/node installs them): %w", modules,
			err)
	}
	n.versions = fmt.Sprintf("experiment-core %s, experiment-node-server %s, Node %s", hello.Core, hello.Server,
		hello.Node)
	if hello.Core != "0.13.6" || hello.Server != "1.13.6" {
		return nil, fmt.Errorf("found %s, want experiment-core 0.13.6 and experiment-node-server 1.13.6", n.versions)
	}
	if semantics == engine.Node {
		return n, nil
	}
	n.versions += fmt.Sprintf(", and the rules of the hosted API, which give all of %d recorded answers",
		hello.Vectors.Checked)
	if differ := hello.Vectors.Differ; hello.Vectors.Checked == 0 || len(differ) > 0 {
		return nil, fmt.Errorf("the reference gives %d of %d recorded answers differently: %q", len(differ),
			hello.Vectors.Checked, differ[:min(3, len(differ))])
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
		return nil, fmt.Errorf("node ended: %w", err)
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
