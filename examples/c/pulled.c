/* What a C program sees of a key that is pulled out while it works, and put back.
 *
 *     cc -Wall -o pulled pulled.c $(pkg-config --cflags p11-kit-1)
 *     ukey run -- ./pulled
 *
 * The program loads whatever module PKCS11_MODULE names. It plugs and pulls the key itself, through
 * the rack's control socket: a line of JSON there, a line back.
 */
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static CK_FUNCTION_LIST *p11;

static void expect(CK_RV rv, CK_RV wanted, const char *call)
{
	if (rv != wanted) {
		fprintf(stderr, "%s gave %#lx, not %#lx\n", call, rv, wanted);
		exit(1);
	}
}
#define OK(call) expect((call), CKR_OK, #call)

/* Tell the rack something, and wait until it is done. */
static void rack(const char *command, const char *arguments)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char answer[4096] = "";
	int line = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s/control.sock", getenv("UKEY_HOME"));
	if (connect(line, (struct sockaddr *)&address, sizeof address) != 0) {
		perror(address.sun_path);
		exit(1);
	}
	dprintf(line, "{\"version\": 1, \"command\": \"%s\", \"arguments\": %s}\n", command, arguments);
	if (read(line, answer, sizeof answer - 1) <= 0 || strncmp(answer, "{\"ok\": true", 11) != 0) {
		fprintf(stderr, "%s: %s\n", command, answer);
		exit(1);
	}
	close(line);
}

static CK_SESSION_HANDLE logged_in(CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session;
	char *pin = getenv("UKEY_PIN");

	OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	OK(p11->C_Login(session, CKU_USER, (CK_BYTE *)pin, strlen(pin)));
	return session;
}

static CK_OBJECT_HANDLE new_key(CK_SESSION_HANDLE session)
{
	static CK_BYTE p256[] = {0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07};
	static CK_BYTE label[] = "signer", yes = CK_TRUE;
	CK_MECHANISM make = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	CK_ATTRIBUTE public[] = {{CKA_EC_PARAMS, p256, sizeof p256}};
	CK_ATTRIBUTE private[] = {{CKA_TOKEN, &yes, 1}, {CKA_LABEL, label, sizeof label - 1}};
	CK_OBJECT_HANDLE handles[2];

	OK(p11->C_GenerateKeyPair(session, &make, public, 1, private, 2, &handles[0], &handles[1]));
	return handles[1];
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM ecdsa = {CKM_ECDSA, NULL, 0};
	CK_BYTE hash[32] = {1}, signature[64];
	CK_ULONG length = sizeof signature;
	CK_RV rv = p11->C_SignInit(session, &ecdsa, key);

	return rv == CKR_OK ? p11->C_Sign(session, hash, sizeof hash, signature, &length) : rv;
}

static void *wait_for_event(void *slot)
{
	OK(p11->C_WaitForSlotEvent(0, slot, NULL));
	return NULL;
}

/* Pull the key or plug it while another thread waits for just that. */
static void seen(const char *command)
{
	pthread_t waiting;
	CK_SLOT_ID slot;
	CK_SLOT_INFO info;

	pthread_create(&waiting, NULL, wait_for_event, &slot);
	rack(command, "{\"name\": \"key-1\"}");
	pthread_join(waiting, NULL);
	OK(p11->C_GetSlotInfo(slot, &info));
	printf("slot %lu: the key is %s\n", slot, info.flags & CKF_TOKEN_PRESENT ? "there" : "gone");
}

int main(void)
{
	CK_C_INITIALIZE_ARGS threads = {.flags = CKF_OS_LOCKING_OK};
	void *module = dlopen(getenv("PKCS11_MODULE"), RTLD_NOW);
	CK_C_GetFunctionList list = module ? dlsym(module, "C_GetFunctionList") : NULL;
	CK_SLOT_ID slot;
	CK_ULONG slots = 1;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;

	if (!list) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	OK(list(&p11));
	OK(p11->C_Initialize(&threads));
	OK(p11->C_GetSlotList(CK_TRUE, &slot, &slots));

	session = logged_in(slot);
	key = new_key(session);
	OK(sign(session, key));
	seen("key.unplug");
	expect(sign(session, key), CKR_DEVICE_REMOVED, "sign, with the key gone");
	seen("key.plug");
	expect(sign(session, key), CKR_SESSION_HANDLE_INVALID, "sign, in the old session");

	session = logged_in(slot);
	CK_ATTRIBUTE signer = {CKA_LABEL, "signer", 6};
	CK_ULONG found;
	OK(p11->C_FindObjectsInit(session, &signer, 1));
	OK(p11->C_FindObjects(session, &key, 1, &found));
	OK(p11->C_FindObjectsFinal(session));
	OK(sign(session, key));
	puts("signed again, after a new login");
	OK(p11->C_Finalize(NULL));
	return 0;
}
