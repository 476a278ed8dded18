package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// echoID is the protocol whose listener returns all bytes and then ends the stream.
	echoID = "/interop/echo/1"
	// resetID is the protocol whose listener answers four bytes, and resets the stream when another byte
	// has arrived. Over QUIC, bytes that were sent just before a reset may be lost.
	resetID = "/interop/reset/1"
	// waitID is the protocol whose listener answers four bytes and then waits for a reset.
	waitID = "/interop/wait/1"
)

// serve answers the test protocols, and prints how each stream of waitID ended.
func serve(host host.Host) {
	host.SetStreamHandler(echoID, func(stream network.Stream) {
		if _, err := io.Copy(stream, stream); err != nil {
			stream.Reset()
			return
		}
		stream.Close()
	})
	host.SetStreamHandler(resetID, func(stream network.Stream) {
		if answer(stream) == nil {
			io.ReadFull(stream, make([]byte, 1))
		}
		stream.Reset()
	})
	host.SetStreamHandler(waitID, func(stream network.Stream) {
		err := answer(stream)
		if err == nil {
			_, err = stream.Read(make([]byte, 1))
		}
		report(map[string]any{"waited": ending(err)})
		stream.Reset()
	})
}

// answer reads four bytes and writes four bytes.
func answer(stream network.Stream) error {
	if _, err := io.ReadFull(stream, make([]byte, 4)); err != nil {
		return err
	}
	_, err := stream.Write([]byte("back"))
	return err
}

// ask writes four bytes and reads four bytes on a stream of the protocol.
func ask(ctx context.Context, host host.Host, node peer.ID, id string) (network.Stream, error) {
	stream, err := open(ctx, host, node, id)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write([]byte("here")); err != nil {
		return nil, fmt.Errorf("writing: %w", err)
	}
	if _, err := io.ReadFull(stream, make([]byte, 4)); err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return stream, nil
}

// ending names the way in which a stream ended.
func ending(err error) string {
	switch {
	case err == nil:
		return "more bytes"
	case errors.Is(err, network.ErrReset):
		return "reset"
	case errors.Is(err, io.EOF):
		return "end"
	default:
		return err.Error()
	}
}

// echo sends random bytes while it reads, ends its direction, and compares what came back until the
// other side's end.
func echo(ctx context.Context, host host.Host, node peer.ID, length int) error {
	stream, err := open(ctx, host, node, echoID)
	if err != nil {
		return err
	}
	sent := make([]byte, length)
	rand.Read(sent)
	written := make(chan error, 1)
	go func() {
		_, err := stream.Write(sent)
		written <- errors.Join(err, stream.CloseWrite())
	}()
	received, err := io.ReadAll(stream)
	if err := errors.Join(err, <-written); err != nil {
		stream.Reset()
		return fmt.Errorf("the echo of %d bytes: %w", length, err)
	}
	if !bytes.Equal(sent, received) {
		return fmt.Errorf("the echo of %d bytes has %d other bytes", length, len(received))
	}
	return nil
}

func open(ctx context.Context, host host.Host, node peer.ID, id string) (network.Stream, error) {
	stream, err := host.NewStream(ctx, node, protocol.ID(id))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", id, err)
	}
	if end, bounded := ctx.Deadline(); bounded {
		stream.SetDeadline(end)
	}
	return stream, nil
}
