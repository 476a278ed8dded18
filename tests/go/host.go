package main

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	webrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
)

// options are the flags of all commands.
type options struct {
	security string
	webrtc   int
	flood    bool
}

// newHost starts a host that listens on the given addresses, and on circuits where it reserves.
func newHost(options options, listen ...string) (host.Host, error) {
	settings := []libp2p.Option{
		libp2p.NoListenAddrs,
		libp2p.EnableRelay(),
		libp2p.DisableMetrics(),
		// The default limits allow about 150 streams to one node.
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Transport(websocket.New),
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(webrtc.New, webrtc.WithDialerVersion(options.webrtc)),
	}
	switch options.security {
	case "noise":
		settings = append(settings, libp2p.Security(noise.ID, noise.New))
	case "tls":
		settings = append(settings, libp2p.Security(tls.ID, tls.New))
	case "":
	default:
		return nil, fmt.Errorf("unknown security %q", options.security)
	}
	if len(listen) > 0 {
		settings = append(settings, libp2p.ListenAddrStrings(listen...))
	}
	host, err := libp2p.New(settings...)
	if err != nil {
		return nil, fmt.Errorf("starting a host: %w", err)
	}
	serve(host)
	return host, nil
}

// connect dials the node at the address, which ends with its id.
func connect(ctx context.Context, host host.Host, address string) (*peer.AddrInfo, network.Conn, error) {
	node, err := peer.AddrInfoFromString(address)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", address, err)
	}
	if err := host.Connect(ctx, *node); err != nil {
		return nil, nil, fmt.Errorf("dialling %s: %w", address, err)
	}
	connections := host.Network().ConnsToPeer(node.ID)
	if len(connections) == 0 {
		return nil, nil, fmt.Errorf("the connection to %s ended", address)
	}
	return node, connections[0], nil
}

// pinged returns the error of one ping.
func pinged(ctx context.Context, host host.Host, node peer.ID) error {
	ctx, cancel := context.WithCancel(network.WithAllowLimitedConn(ctx, "test"))
	defer cancel()
	result := <-ping.Ping(ctx, host, node)
	return result.Error
}
