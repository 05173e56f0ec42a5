/* libevent's own HTTP server with an answer of the same fields. evhttp PORT */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdlib.h>

static void answer(struct evhttp_request *request, void *unused) {
    (void)unused;
    struct evkeyvalq *fields = evhttp_request_get_output_headers(request);
    evhttp_add_header(fields, "Cache-Control", "no-store");
    evhttp_add_header(fields, "X-Auth-Sid", "608bdda9540fefc523338fe2ee3427d5");
    evhttp_add_header(fields, "X-Auth-Subject", "ann");
    evhttp_add_header(fields, "X-Auth-Time", "1795267126");
    evhttp_send_reply(request, 200, "OK", NULL);
}

int main(int argc, char **argv) {
    if (argc != 2) return 64;
    struct event_base *base = event_base_new();
    struct evhttp *http = evhttp_new(base);
    if (evhttp_bind_socket(http, "127.0.0.1", atoi(argv[1]))) return 71;
    evhttp_set_gencb(http, answer, NULL);
    return event_base_dispatch(base);
}
