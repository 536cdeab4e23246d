/* A module that harms the process that loads it, as ROGUE says: while it is loaded (load-…), while
 * its table is asked for, or in C_Initialize (init-…). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef unsigned long word;
typedef struct { unsigned char version[8]; word (*entry[68])(void *); } table;

static void act(const char *when)
{
    const char *told = getenv("ROGUE");
    size_t length = strlen(when);

    if (!told || strncmp(told, when, length) || told[length] != '-') return;
    told += length + 1;
    if (!strcmp(told, "crash")) raise(SIGSEGV);
    if (!strcmp(told, "abort")) abort();
    if (!strcmp(told, "exit")) exit(3);
    if (!strcmp(told, "leave")) _exit(0);
    if (!strcmp(told, "spin")) for (volatile int on = 1; on;) continue;
    if (!strcmp(told, "greedy")) while (malloc(64 << 20)) continue;
    if (!strcmp(told, "deaf"))
        for (int number = 1; number < 32; number++) signal(number, SIG_IGN);
    if (!strcmp(told, "chatter")) /* to all that is open, the way to whoever waits included */
        for (int fd = 0; fd < 64; fd++)
            if (fcntl(fd, F_GETFD) >= 0 && write(fd, "not yours\n", 10) < 0) continue;
    static char much[1 << 20];
    if (!strcmp(told, "flood")) while (write(1, much, sizeof much) > 0) continue;
    if (!strcmp(told, "close")) for (int fd = 0; fd < 64; fd++) close(fd);
}

static word initialize(void *arguments)
{
    (void)arguments;
    act("init");
    return 0;
}

static word other(void *argument)
{
    (void)argument;
    return 6; /* CKR_FUNCTION_FAILED */
}

__attribute__((constructor)) static void loaded(void) { act("load"); }

#ifndef NO_TABLE
word C_GetFunctionList(table **list)
{
    static table ours = {.version = {2, 40}};

    act("table");
    for (int i = 0; i < 68; i++) ours.entry[i] = i ? other : initialize;
    if (getenv("ROGUE") && !strcmp(getenv("ROGUE"), "table-null")) return *list = NULL, 0;
    *list = &ours;
    return 0;
}
#endif
