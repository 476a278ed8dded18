package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// streamBytes passes each way on each of many streams.
const streamBytes = 16 << 10

// streams tries the test protocols of a node: many streams at once, a large echo, and resets by each
// side.
func streams(ctx context.Context, options options, arguments []string) error {
	count, err := strconv.Atoi(arguments[1])
	if err != nil {
		return fmt.Errorf("the number of streams: %w", err)
	}
	bytes, err := strconv.Atoi(arguments[2])
	if err != nil {
		return fmt.Errorf("the number of bytes: %w", err)
	}
	host, err := newHost(options)
	if err != nil {
		return err
	}
	defer host.Close()
	node, connection, err := connect(ctx, host, arguments[0])
	if err != nil {
		return err
	}
	if err := pinged(ctx, host, node.ID); err != nil {
		return fmt.Errorf("pinging: %w", err)
	}
	if err := many(ctx, host, node.ID, count); err != nil {
		return err
	}
	if err := echo(ctx, host, node.ID, bytes); err != nil {
		return err
	}
	stream, err := ask(ctx, host, node.ID, resetID)
	if err != nil {
		return err
	}
	_, end := stream.Write([]byte("!"))
	if end == nil {
		_, end = stream.Read(make([]byte, 1))
	}
	waiting, err := ask(ctx, host, node.ID, waitID)
	if err != nil {
		return err
	}
	waiting.Reset()
	// The ping passes behind the reset, so that the reset is not lost with the connection.
	if err := pinged(ctx, host, node.ID); err != nil {
		return fmt.Errorf("pinging at the end: %w", err)
	}
	return report(map[string]any{
		"over":        connection.RemoteMultiaddr().String(),
		"security":    connection.ConnState().Security,
		"streams":     count,
		"echoed":      bytes,
		"ended":       ending(end),
		"connections": len(host.Network().ConnsToPeer(node.ID)),
	})
}

// many echoes on so many streams at once.
func many(ctx context.Context, host host.Host, node peer.ID, count int) error {
	results := make(chan error)
	for range count {
		go func() { results <- echo(ctx, host, node, streamBytes) }()
	}
	var all []error
	for range count {
		all = append(all, <-results)
	}
	return errors.Join(all...)
}

// listen serves the test protocols at an address.
func listen(ctx context.Context, options options, arguments []string) error {
	host, err := newHost(options, arguments[0])
	if err != nil {
		return err
	}
	defer host.Close()
	addresses := host.Network().ListenAddresses()
	for _, address := range addresses {
		if isCircuit(address) {
			continue
		}
		line := map[string]any{"address": fmt.Sprintf("%s/p2p/%s", address, host.ID())}
		if err := report(line); err != nil {
			return err
		}
	}
	stdinEnds(ctx)
	return nil
}

// isCircuit tells the address at which a host listens for circuits from the others.
func isCircuit(address multiaddr.Multiaddr) bool {
	_, err := address.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}
