/* The limit: a bare epoll loop that reads whatever comes and answers each head with the same bytes, those of its file argument.
 *   bare PORT FILE */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc != 3) return 64;
    static char answer[65536], input[65536], output[65536];
    FILE *file = fopen(argv[2], "r");
    if (!file) return 66;
    size_t length = fread(answer, 1, sizeof answer, file);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) return 71;
    int poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int index = 0; index < count; index++) {
            int socket = events[index].data.fd;
            if (socket == listener) {
                int client = accept4(listener, 0, 0, SOCK_NONBLOCK);
                if (client < 0) continue;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                event.events = EPOLLIN;
                event.data.fd = client;
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            ssize_t got = recv(socket, input, sizeof input - 1, 0);
            if (got <= 0) {
                if (got == 0) close(socket);
                continue;
            }
            input[got] = 0;
            size_t size = 0;
            for (char *end = input; (end = strstr(end, "\r\n\r\n")) && size + length <= sizeof output; end += 4) {
                memcpy(output + size, answer, length);
                size += length;
            }
            if (size && send(socket, output, size, MSG_NOSIGNAL) < 0) close(socket);
        }
    }
}
