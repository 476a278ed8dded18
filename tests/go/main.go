// This program runs go-libp2p hosts that talk to Peerwork's nodes in tests. Each command prints its
// observations as JSON, one object a line.
//
//	interop [flags] hold RELAY             reserves at a relay, and echoes until stdin ends
//	interop [flags] call ADDRESS BYTES     dials a node, pings it, and sends bytes to its echo
//	interop [flags] gossip RELAY TOPIC TEXT   publishes until stdin ends, and prints what it hears
//	interop [flags] streams ADDRESS COUNT BYTES   tries the test protocols of a node
//	interop [flags] listen ADDRESS         serves the test protocols until stdin ends
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// deadline bounds each command that does not wait for the end of stdin.
const deadline = 3 * time.Minute

var commands = map[string]struct {
	arguments int
	run       func(context.Context, options, []string) error
}{
	"hold":    {1, hold},
	"call":    {2, call},
	"gossip":  {3, gossip},
	"streams": {3, streams},
	"listen":  {1, listen},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run() error {
	var options options
	flag.StringVar(&options.security, "security", "", "noise or tls alone; both without the flag")
	flag.IntVar(&options.webrtc, "webrtc", 1, "the version of WebRTC-direct with which to dial")
	flag.BoolVar(&options.flood, "flood", false, "use floodsub in place of gossipsub")
	flag.Parse()
	if flag.NArg() == 0 {
		return errors.New("a command is missing")
	}
	command, known := commands[flag.Arg(0)]
	arguments := flag.Args()[1:]
	if !known || len(arguments) != command.arguments {
		return fmt.Errorf("%q is no command with %d arguments", flag.Arg(0), len(arguments))
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	return command.run(ctx, options, arguments)
}

// report prints one line.
func report(line any) error {
	return json.NewEncoder(os.Stdout).Encode(line)
}

// stdinEnds blocks until the test closes this program's input or the deadline has passed.
func stdinEnds(ctx context.Context) {
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}
