// Go's net/http as a client of the conformance suite: requests as JSON on standard input, answers on standard output.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptrace"
	"os"
	"sync"
	"time"
)

type order struct {
	Base     string
	Parallel bool
	Requests []request
}

type request struct {
	Method, Path, How string
	Headers           map[string]string
	Body              []byte // base64 in JSON
}

type answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    []byte            `json:"body"`
	Reused  bool              `json:"reused"`
}

// A pipe has no length: net/http sends it in chunks.
func piped(data []byte) io.Reader {
	reader, writer := io.Pipe()
	go func() {
		for len(data) > 0 {
			part := len(data)
			if part > 1000 {
				part = 1000
			}
			if _, err := writer.Write(data[:part]); err != nil {
				return
			}
			data = data[part:]
		}
		writer.Close()
	}()
	return reader
}

func do(client *http.Client, base string, r request) (a answer, err error) {
	var body io.Reader
	if r.How == "chunked" {
		body = piped(r.Body)
	} else if len(r.Body) > 0 {
		body = bytes.NewReader(r.Body)
	}
	q, err := http.NewRequest(r.Method, base+r.Path, body)
	if err != nil {
		return
	}
	for name, value := range r.Headers {
		q.Header.Set(name, value)
	}
	if r.How == "expect" {
		q.Header.Set("Expect", "100-continue")
	}
	trace := &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { a.Reused = c.Reused }}
	response, err := client.Do(q.WithContext(httptrace.WithClientTrace(q.Context(), trace)))
	if err != nil {
		return
	}
	defer response.Body.Close()
	a.Status = response.StatusCode
	a.Headers = map[string]string{}
	for name := range response.Header {
		a.Headers[name] = response.Header.Get(name)
	}
	a.Body, err = io.ReadAll(response.Body)
	return
}

func main() {
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		log.Fatal(err)
	}
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second, MaxIdleConnsPerHost: 32}
	client := &http.Client{Transport: transport, Timeout: 40 * time.Second}
	answers := make([]answer, len(o.Requests))
	var all sync.WaitGroup
	for i, r := range o.Requests {
		all.Add(1)
		work := func(i int, r request) {
			defer all.Done()
			var err error
			if answers[i], err = do(client, o.Base, r); err != nil {
				log.Fatal(err)
			}
		}
		if o.Parallel {
			go work(i, r)
		} else {
			work(i, r)
		}
	}
	all.Wait()
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}
