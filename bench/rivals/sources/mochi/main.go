// Mochi MQTT with the settings of its first argument, a JSON file.
package main

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
)

type told struct{ Address, User, Password, Certificate, Key string }

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func hook(t told, server *mqtt.Server) error {
	if t.User == "" {
		return server.AddHook(new(auth.AllowHook), nil)
	}
	return server.AddHook(new(auth.Hook), &auth.Options{Ledger: &auth.Ledger{
		Auth: auth.AuthRules{{Username: auth.RString(t.User), Password: auth.RString(t.Password), Allow: true}},
		ACL:  auth.ACLRules{{Username: auth.RString(t.User), Filters: auth.Filters{"#": auth.ReadWrite}}},
	}})
}

func main() {
	var t told
	text, err := os.ReadFile(os.Args[1])
	must(err)
	must(json.Unmarshal(text, &t))

	capabilities := mqtt.NewDefaultServerCapabilities()
	capabilities.MaximumClientWritesPending = 1 << 20
	capabilities.ReceiveMaximum = math.MaxUint16
	capabilities.MaximumInflight = math.MaxUint16
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server := mqtt.New(&mqtt.Options{Capabilities: capabilities, Logger: quiet, SysTopicResendInterval: 3600})
	must(hook(t, server))

	config := listeners.Config{ID: "bench", Address: t.Address}
	if t.Certificate != "" {
		pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
		must(err)
		config.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	}
	must(server.AddListener(listeners.NewTCP(config)))
	must(server.Serve())
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	must(server.Close())
}
