// proxyproto reads PROXY headers from standard input with a library that is not ours, and prints who
// they name: version, transport, source, destination, and the bytes behind the header.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	proxyproto "github.com/pires/go-proxyproto"
)

func main() {
	reader := bufio.NewReader(os.Stdin)
	header, err := proxyproto.Read(reader)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	rest, _ := io.ReadAll(reader)
	fmt.Println(header.Version, header.TransportProtocol.IsDatagram(), header.SourceAddr,
		header.DestinationAddr, string(rest))
}
