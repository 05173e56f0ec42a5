// redigo, for clients.py, which says what a line is: probe SOCKET
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

func shown(reply interface{}) string {
	switch value := reply.(type) {
	case error:
		return "!" + value.Error()
	case []interface{}:
		words := []string{"("}
		for _, part := range value {
			words = append(words, shown(part))
		}
		return strings.Join(append(words, ")"), "\t")
	case int64:
		return fmt.Sprintf(":%d", value)
	case []byte:
		return "$" + string(value)
	case string:
		return "$" + value
	}
	return "_"
}

func arguments(words []string) []interface{} {
	var values []interface{}
	for _, word := range words {
		values = append(values, word)
	}
	return values
}

func answer(connection redis.Conn, words []string, commands [][]string) (replies []interface{}) {
	if commands == nil {
		reply, err := connection.Do(words[0], arguments(words[1:])...)
		if err != nil {
			reply = err
		}
		return []interface{}{reply}
	}
	for _, command := range commands {
		connection.Send(command[0], arguments(command[1:])...)
	}
	connection.Flush()
	for range commands {
		reply, err := connection.Receive()
		if err != nil {
			reply = err
		}
		replies = append(replies, reply)
	}
	return replies
}

func main() {
	fmt.Println("1.8.3")
	var connection redis.Conn
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Split(input.Text(), "\t")
		var commands [][]string
		if words[0] != "call" {
			count, _ := strconv.Atoi(words[1])
			for ; count > 0 && input.Scan(); count-- {
				commands = append(commands, strings.Split(input.Text(), "\t"))
			}
		}
		if connection == nil {
			var err error
			limit := 2 * time.Second
			connection, err = redis.Dial("unix", os.Args[1], redis.DialConnectTimeout(limit), redis.DialReadTimeout(limit), redis.DialWriteTimeout(limit))
			if err != nil {
				fmt.Println(shown(err))
				connection = nil
				continue
			}
		}
		for _, reply := range answer(connection, words[1:], commands) {
			fmt.Println(strings.ReplaceAll(shown(reply), "\n", " "))
		}
		// It says itself when a connection is no good any more.
		if connection.Err() != nil {
			connection.Close()
			connection = nil
		}
	}
}
