/* hiredis, for clients.py, which says what a line is: probe SOCKET */
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { MOST_WORDS = 64, MOST_LINE = 16384 };

static void show(const redisReply *reply, const char *before) {
    fputs(before, stdout);
    switch (reply->type) {
    case REDIS_REPLY_ARRAY:
        putchar('(');
        for (size_t index = 0; index < reply->elements; index++) show(reply->element[index], "\t");
        fputs("\t)", stdout);
        break;
    case REDIS_REPLY_INTEGER: printf(":%lld", reply->integer); break;
    case REDIS_REPLY_NIL: putchar('_'); break;
    case REDIS_REPLY_ERROR: printf("!%.*s", (int)reply->len, reply->str); break;
    default: printf("$%.*s", (int)reply->len, reply->str);
    }
}

/* The words of a line, in place; 0 at the end of the input. */
static int read_words(char *line, const char **words) {
    if (!fgets(line, MOST_LINE, stdin)) return 0;
    line[strcspn(line, "\n")] = 0;
    int count = 0;
    for (char *word = line; word && count < MOST_WORDS; count++) {
        words[count] = strsep(&word, "\t");
    }
    return count;
}

int main(int count, char **arguments) {
    (void)count;
    /* A connection that the daemon has closed is an error, not an end. */
    signal(SIGPIPE, SIG_IGN);
    const struct timeval timeout = {2, 0};
    redisContext *context = NULL;
    static char line[MOST_LINE];
    const char *words[MOST_WORDS];
    printf("%d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    fflush(stdout);
    for (int length; (length = read_words(line, words)); fflush(stdout)) {
        int is_call = !strcmp(words[0], "call"), sent = 1;
        if (!is_call) sscanf(words[1], "%d", &sent);
        if (!context) {
            context = redisConnectUnixWithTimeout(arguments[1], timeout);
            redisSetTimeout(context, timeout);
        }
        if (is_call) redisAppendCommandArgv(context, length - 1, words + 1, NULL);
        for (int index = 0; !is_call && index < sent; index++) {
            length = read_words(line, words);
            redisAppendCommandArgv(context, length, words, NULL);
        }
        for (int index = 0; index < sent && context; index++) {
            redisReply *reply = NULL;
            if (!context->err && redisGetReply(context, (void **)&reply) == REDIS_OK) {
                show(reply, "");
                freeReplyObject(reply);
            } else {
                printf("!%s", context->errstr);
                redisFree(context);
                context = NULL;
            }
            putchar('\n');
        }
    }
}
