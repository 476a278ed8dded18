package main

import (
	"context"
	"fmt"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
)

// pause is the time between two publications of a text.
const pause = 200 * time.Millisecond

// gossip publishes a text on a topic until stdin ends, and prints each other text that it hears, with
// the author that signed it.
func gossip(ctx context.Context, options options, arguments []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	host, err := newHost(options)
	if err != nil {
		return err
	}
	defer host.Close()
	router, err := newRouter(ctx, host, options.flood)
	if err != nil {
		return fmt.Errorf("starting pubsub: %w", err)
	}
	topic, err := router.Join(arguments[1])
	if err != nil {
		return fmt.Errorf("joining: %w", err)
	}
	subscription, err := topic.Subscribe()
	if err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	if _, _, err := connect(ctx, host, arguments[0]); err != nil {
		return err
	}
	if err := report(map[string]any{"id": host.ID().String()}); err != nil {
		return err
	}
	go hear(ctx, host, subscription)
	go say(ctx, topic, arguments[2])
	stdinEnds(ctx)
	return nil
}

// say publishes a text until the context ends. The first ones may find no subscriber.
func say(ctx context.Context, topic *pubsub.Topic, text string) {
	ticker := time.NewTicker(pause)
	defer ticker.Stop()
	for {
		topic.Publish(ctx, []byte(text))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func newRouter(ctx context.Context, host host.Host, flood bool) (*pubsub.PubSub, error) {
	if flood {
		return pubsub.NewFloodSub(ctx, host)
	}
	return pubsub.NewGossipSub(ctx, host)
}

// hear prints the texts of others.
func hear(ctx context.Context, host host.Host, subscription *pubsub.Subscription) {
	for {
		message, err := subscription.Next(ctx)
		if err != nil {
			return
		}
		if message.GetFrom() == host.ID() {
			continue
		}
		report(map[string]any{
			"heard":           string(message.GetData()),
			"from":            message.GetFrom().String(),
			"sequence number": len(message.GetSeqno()),
		})
	}
}
