package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

// hold reserves at a relay. go-libp2p checks the voucher that the relay gave: the signature, the relay's
// id and the holder's id.
func hold(ctx context.Context, options options, arguments []string) error {
	relay := arguments[0]
	host, err := newHost(options)
	if err != nil {
		return err
	}
	defer host.Close()
	node, connection, err := connect(ctx, host, relay)
	if err != nil {
		return err
	}
	reservation, err := client.Reserve(ctx, host, *node)
	if err != nil {
		return fmt.Errorf("reserving: %w", err)
	}
	if reservation.Voucher == nil {
		return errors.New("the reservation has no voucher")
	}
	addresses := make([]string, len(reservation.Addrs))
	for i, address := range reservation.Addrs {
		addresses[i] = address.String()
	}
	err = report(map[string]any{
		"id":      host.ID().String(),
		"circuit": fmt.Sprintf("%s/p2p-circuit/p2p/%s", relay, host.ID()),
		"over":    connection.RemoteMultiaddr().String(),
		"voucher": map[string]any{
			"relay":  reservation.Voucher.Relay.String(),
			"holder": reservation.Voucher.Peer.String(),
			"expires with the reservation": reservation.Voucher.Expiration.Equal(
				reservation.Expiration),
		},
		"seconds":       int(time.Until(reservation.Expiration).Seconds()),
		"addresses":     addresses,
		"limit bytes":   reservation.LimitData,
		"limit seconds": int(reservation.LimitDuration.Seconds()),
	})
	if err != nil {
		return err
	}
	stdinEnds(ctx)
	return nil
}

// call dials a node, directly or by a circuit, pings it, and checks the echo of random bytes.
func call(ctx context.Context, options options, arguments []string) error {
	bytes, err := strconv.Atoi(arguments[1])
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
	ctx = network.WithAllowLimitedConn(ctx, "test")
	if bytes > 0 {
		if err := echo(ctx, host, node.ID, bytes); err != nil {
			return err
		}
	}
	return report(map[string]any{
		"id":      host.ID().String(),
		"over":    connection.RemoteMultiaddr().String(),
		"limited": connection.Stat().Limited,
		"echoed":  bytes,
	})
}
