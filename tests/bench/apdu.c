/* A program of pcsc-lite that measures: apdu READER transmit COUNT, or apdu READER wait.
 *
 * transmit: the median time of a short command's round trip, in microseconds.
 * wait: says "waiting" once it does, and when it has seen a card come, the monotonic clock's time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <winscard.h>

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check(LONG rv, const char *call)
{
	if (rv != SCARD_S_SUCCESS) {
		fprintf(stderr, "%s: %s\n", call, pcsc_stringify_error(rv));
		exit(1);
	}
}

static int ascending(const void *one, const void *other)
{
	double left = *(const double *)one, right = *(const double *)other;
	return (left > right) - (left < right);
}

static void transmit(SCARDCONTEXT context, const char *reader, size_t count)
{
	static const BYTE command[] = {0x00, 0xC0, 0x00, 0x00, 0x00};
	double *taken = calloc(count, sizeof *taken);
	SCARDHANDLE card;
	DWORD protocol;

	if (!taken)
		exit(1);
	check(SCardConnect(context, reader, SCARD_SHARE_SHARED, SCARD_PROTOCOL_T1, &card, &protocol),
	      "SCardConnect");
	for (size_t i = 0; i < count; i++) {
		BYTE answer[258];
		DWORD length = sizeof answer;
		double begun = now();

		check(SCardTransmit(card, SCARD_PCI_T1, command, sizeof command, NULL, answer, &length),
		      "SCardTransmit");
		taken[i] = now() - begun;
	}
	check(SCardDisconnect(card, SCARD_LEAVE_CARD), "SCardDisconnect");
	qsort(taken, count, sizeof *taken, ascending);
	printf("%.3f\n", taken[count / 2]);
	free(taken);
}

static void wait_for_card(SCARDCONTEXT context, const char *reader)
{
	SCARD_READERSTATE state = {.szReader = reader, .dwCurrentState = SCARD_STATE_EMPTY};

	puts("waiting");
	fflush(stdout);
	do
		check(SCardGetStatusChange(context, INFINITE, &state, 1), "SCardGetStatusChange");
	while (!(state.dwEventState & SCARD_STATE_PRESENT));
	printf("%.3f\n", now());
}

int main(int count, char **words)
{
	SCARDCONTEXT context;

	if (count < 3)
		return 2;
	check(SCardEstablishContext(SCARD_SCOPE_SYSTEM, NULL, NULL, &context),
	      "SCardEstablishContext");
	if (!strcmp(words[2], "wait"))
		wait_for_card(context, words[1]);
	else if (count == 4)
		transmit(context, words[1], strtoul(words[3], NULL, 10));
	return 0;
}
