// client-go's own remotecommand against debugsessions/attach: what any program of the Kubernetes world would do.
// One SESSION: its streams are ours, and so is its exit code. Several: attached at once, one line each of "NAME EXIT BYTES SHA256".
package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"os"
	"strings"
	"sync"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

var (
	namespace = flag.String("n", "default", "namespace of the sessions")
	protocols = flag.String("protocols", "v5.channel.k8s.io", "subprotocols to offer, with commas between them")
	stdin     = flag.Bool("i", false, "pass standard input on")
	tty       = flag.Bool("t", false, "the session has a terminal")
	sizes     = flag.String("sizes", "", "COLUMNSxROWS,…: sent one after another, so that the last one counts")
)

// queue gives the sizes that it was made with, and then waits as a window does that nobody resizes.
type queue struct{ sizes chan remotecommand.TerminalSize }

func (q queue) Next() *remotecommand.TerminalSize { size := <-q.sizes; return &size }

// tally counts what it is given.
type tally struct {
	hash.Hash
	bytes int64
}

func (t *tally) Write(p []byte) (int, error) { t.bytes += int64(len(p)); return t.Hash.Write(p) }

func main() {
	flag.Parse()
	if flag.NArg() == 1 {
		os.Exit(attach(flag.Arg(0), os.Stdin, os.Stdout, os.Stderr))
	}
	var all sync.WaitGroup
	for _, name := range flag.Args() {
		all.Go(func() {
			sum := &tally{Hash: sha256.New()}
			code := attach(name, strings.NewReader(name), sum, io.Discard)
			fmt.Printf("%s %d %d %x\n", name, code, sum.bytes, sum.Sum(nil))
		})
	}
	all.Wait()
}

func attach(name string, in io.Reader, out, err io.Writer) int {
	config, failed := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check(failed)
	url := fmt.Sprintf("%s/apis/subresources.crashcart.dev/v1alpha1/namespaces/%s/debugsessions/%s/attach?stdin=%t&stdout=true&stderr=%t&tty=%t",
		config.Host, *namespace, name, *stdin, !*tty, *tty)
	executor, failed := remotecommand.NewWebSocketExecutorForProtocols(config, "GET", url, strings.Split(*protocols, ",")...)
	check(failed)
	options := remotecommand.StreamOptions{Stdout: out, Tty: *tty}
	if *stdin {
		options.Stdin = in
	}
	if !*tty {
		options.Stderr = err
	}
	if *sizes != "" {
		options.TerminalSizeQueue = queueOf(*sizes)
	}
	failed = executor.StreamWithContext(context.Background(), options)
	var exit exec.CodeExitError
	if errors.As(failed, &exit) {
		fmt.Fprintln(os.Stderr, "said:", exit.Err)
		return exit.Code
	}
	check(failed)
	return 0
}

func queueOf(text string) queue {
	q := queue{make(chan remotecommand.TerminalSize, 64)}
	for _, each := range strings.Split(text, ",") {
		var size remotecommand.TerminalSize
		_, failed := fmt.Sscanf(each, "%dx%d", &size.Width, &size.Height)
		check(failed)
		q.sizes <- size
	}
	return q
}

// check ends the program with a code that no session of the tests ends with.
func check(failed error) {
	if failed != nil {
		fmt.Fprintln(os.Stderr, "failed:", failed)
		os.Exit(99)
	}
}
