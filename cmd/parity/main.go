package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

func main() {
	pairs := flag.Int("pairs", 2_000_000, "the least number of pairs of a flag and a user to compare")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano())%1_000_000,
		"seed of the generator; a different one in every run by default")
	names := flag.String("semantics", "hosted,node", "the semantics to compare, which share the pairs")
	modules := flag.String("modules", "testdata/node/node_modules", "directory of the npm packages")
	vectors := flag.String("vectors", "pipeline/engine/testdata/hosted-conditions.json",
		"recorded answers, which the reference of the hosted API must give")
	flag.Parse()
	list := strings.Split(*names, ",")
	for _, name := range list {
		semantics, err := engine.ParseSemantics(name)
		if err == nil {
			err = run(os.Stdout, semantics, *modules, *vectors, (*pairs+len(list)-1)/len(list), *seed)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "parity:", err)
			os.Exit(1)
		}
	}
}

func run(w io.Writer, semantics engine.Semantics, modules, vectors string, pairs int, seed uint64) error {
	ref, err := startNode(modules, semantics, vectors)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "package engine, %s, compared with %s; seed %d\n", semantics, ref.versions, seed)
	begin := time.Now()
	c, found, err := compareAll(ref, semantics, pairs, seed)
	if err != nil {
		return err
	}
	if found != nil {
		if err := found.shrinkAndPrint(w, ref); err != nil {
			return err
		}
		return fmt.Errorf("the engines differ (%s, seed %d, deployment %d, after %d pairs that agree)", semantics, seed,
			found.number, c.pairs)
	}
	c.printSummary(w, time.Since(begin))
	if err := ref.close(); err != nil {
		return err
	}
	if missing := c.listUnexercised(); semantics == engine.Hosted && pairs >= 500_000 && len(missing) > 0 {
		return fmt.Errorf("not compared enough: no pair in which %s", strings.Join(missing, "; no pair in which "))
	}
	return nil
}

// firstDifference is the first difference of a run.
type firstDifference struct {
	number     uint64
	deployment *deployment
	difference *difference
}

// compareAll compares until it has that many pairs, or a difference. When it returns, no request to the reference is
// pending.
func compareAll(ref reference, semantics engine.Semantics, pairs int, seed uint64) (*coverage, *firstDifference,
	error) {
	type asked struct {
		number uint64
		d      *deployment
		probes map[string]probe
		ev     *evaluation
	}
	queue := make(chan asked, 8) // requests that the reference is working on
	stop := make(chan struct{})
	failed := make(chan error, 1)
	go func() {
		defer close(queue)
		sent := 0
		for number := uint64(0); sent < pairs; number++ {
			d, probes := generate(semantics, seed, number)
			ev := evaluate(&d)
			ev.request.setProbes(probes, number)
			if err := ref.send(&ev.request); err != nil {
				failed <- err
				return
			}
			sent += len(ev.answers)
			select {
			case queue <- asked{number, &d, probes, ev}:
			case <-stop:
				// This one was sent, too: its answer must be received.
				queue <- asked{number, &d, probes, ev}
				return
			}
		}
	}()
	c := &coverage{}
	var found *firstDifference
	for a := range queue {
		r, err := ref.receive()
		if err != nil {
			return c, nil, err
		}
		if found != nil {
			continue
		}
		if difference := a.ev.compare(r); difference != nil {
			found = &firstDifference{a.number, a.d, difference}
			close(stop)
			continue
		}
		c.countDeployment(a.d, a.probes, a.ev, r)
	}
	select {
	case err := <-failed:
		return c, nil, err
	default:
		return c, found, nil
	}
}

// shrinkAndPrint prints the smallest form of the difference.
func (f *firstDifference) shrinkAndPrint(w io.Writer, ref reference) error {
	d, difference, err := shrink(f.deployment, f.difference,
		func(d *deployment) (*difference, error) { return compareEngines(ref, d) })
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nthey differ: %s\n", difference.kind)
	for i := range d.flags.Members {
		fmt.Fprintf(w, "  flag  %s\n", d.flags.Members[i].Value.AppendJSON(nil))
	}
	for i := range d.users {
		fmt.Fprintf(w, "  user  %s\n", d.users[i].AppendJSON(nil))
	}
	if d.typed {
		fmt.Fprintln(w, "        with the types of Parquet")
	}
	if d.keys != nil {
		fmt.Fprintf(w, "  asked %s\n", makeTextList(d.keys).AppendJSON(nil))
	}
	fmt.Fprintf(w, "  got   %s\n  want  %s\n", difference.got, difference.want)
	return nil
}

// compareEngines asks both engines about one deployment. It returns nil if they agree.
func compareEngines(ref reference, d *deployment) (*difference, error) {
	ev := evaluate(d)
	if err := ref.send(&ev.request); err != nil {
		return nil, err
	}
	r, err := ref.receive()
	if err != nil {
		return nil, err
	}
	return ev.compare(r), nil
}
