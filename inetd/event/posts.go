package event

import "sync"

// posts is the queue behind Post. wake is called when it stops being empty.
type posts struct {
	mu    sync.Mutex
	queue []func()
	wake  func()
}

func (p *posts) add(f func()) {
	p.mu.Lock()
	p.queue = append(p.queue, f)
	first := len(p.queue) == 1
	p.mu.Unlock()
	if first {
		p.wake()
	}
}

func (p *posts) take(events []Event) []Event {
	p.mu.Lock()
	q := p.queue
	p.queue = nil
	p.mu.Unlock()
	for _, f := range q {
		events = append(events, Event{Kind: Posted, Run: f})
	}
	return events
}
