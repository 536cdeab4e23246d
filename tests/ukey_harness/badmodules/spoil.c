/* A module that passes every call on to another one and spoils it where it is told to.
 *
 * SPOIL_MODULE is the other module's path; SPOIL holds rules, separated by ';':
 *
 *   rule      WHERE ACTION NUMBER...
 *   WHERE     the function without C_, then what must hold, in any order:
 *             #3 its third call, #3+ from its third call on, ?1=0 argument 1 is 0, ~0x91 the other
 *             module returns 0x91
 *   before the call: arg I X     argument I is X         or I X      bits are added to it
 *             drop I T           attribute T is taken out of the template I
 *             attr I T X         the first byte of attribute T in template I is X
 *             instead X          the call is not made, X is returned
 *             surrender          the session's callback is called, whatever it answers
 *             crash, hang
 *   after it: return X           byte I O X, xor I O X   one byte behind pointer I, at offset O
 *             word I O X, add I O X                      the same with a CK_ULONG
 *             value I T X, flip I T, len I T X           of attribute T that was asked for
 *             behind I J               a byte behind pointer I, where *pointer J had said it ends
 *             beyond I T               a byte behind the buffer for attribute T
 *   tables:   null               the function is missing in the tables
 *             version A.B C.D    (instead of WHERE) the table of A.B bears C.D
 *
 * Every argument of every function is a word, so one wrapper serves them all. Built with
 * NO_INTERFACES it is a module of 2.40, which has no C_GetInterface.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)(word, word, word, word, word, word, word, word, word, word);
typedef struct { word type; unsigned char *value; word length; } attribute;
typedef struct { unsigned char major, minor; function entry[104]; } table;
typedef struct { unsigned char *name; table *list; word flags; } interface;

#define EACH(F) \
    F(Initialize) F(Finalize) F(GetInfo) F(GetFunctionList) F(GetSlotList) F(GetSlotInfo) \
    F(GetTokenInfo) F(GetMechanismList) F(GetMechanismInfo) F(InitToken) F(InitPIN) F(SetPIN) \
    F(OpenSession) F(CloseSession) F(CloseAllSessions) F(GetSessionInfo) F(GetOperationState) \
    F(SetOperationState) F(Login) F(Logout) F(CreateObject) F(CopyObject) F(DestroyObject) \
    F(GetObjectSize) F(GetAttributeValue) F(SetAttributeValue) F(FindObjectsInit) F(FindObjects) \
    F(FindObjectsFinal) F(EncryptInit) F(Encrypt) F(EncryptUpdate) F(EncryptFinal) \
    F(DecryptInit) F(Decrypt) F(DecryptUpdate) F(DecryptFinal) F(DigestInit) F(Digest) \
    F(DigestUpdate) F(DigestKey) F(DigestFinal) F(SignInit) F(Sign) F(SignUpdate) F(SignFinal) \
    F(SignRecoverInit) F(SignRecover) F(VerifyInit) F(Verify) F(VerifyUpdate) F(VerifyFinal) \
    F(VerifyRecoverInit) F(VerifyRecover) F(DigestEncryptUpdate) F(DecryptDigestUpdate) \
    F(SignEncryptUpdate) F(DecryptVerifyUpdate) F(GenerateKey) F(GenerateKeyPair) F(WrapKey) \
    F(UnwrapKey) F(DeriveKey) F(SeedRandom) F(GenerateRandom) F(GetFunctionStatus) \
    F(CancelFunction) F(WaitForSlotEvent) F(GetInterfaceList) F(GetInterface) F(LoginUser) \
    F(SessionCancel) F(MessageEncryptInit) F(EncryptMessage) F(EncryptMessageBegin) \
    F(EncryptMessageNext) F(MessageEncryptFinal) F(MessageDecryptInit) F(DecryptMessage) \
    F(DecryptMessageBegin) F(DecryptMessageNext) F(MessageDecryptFinal) F(MessageSignInit) \
    F(SignMessage) F(SignMessageBegin) F(SignMessageNext) F(MessageSignFinal) \
    F(MessageVerifyInit) F(VerifyMessage) F(VerifyMessageBegin) F(VerifyMessageNext) \
    F(MessageVerifyFinal) F(EncapsulateKey) F(DecapsulateKey) F(VerifySignatureInit) \
    F(VerifySignature) F(VerifySignatureUpdate) F(VerifySignatureFinal) \
    F(GetSessionValidationFlags) F(AsyncComplete) F(AsyncGetID) F(AsyncJoin) \
    F(WrapKeyAuthenticated) F(UnwrapKeyAuthenticated)

#define INDEX(name) I_##name,
enum { EACH(INDEX) ALL };
#define NAME(name) #name,
static const char *const names[] = {EACH(NAME)};

static void *module;
static function real[ALL];
static int calls[ALL];
static __thread word ends; /* where the caller's buffer ended, before the call */
static word (*notify)(word, word, void *);
static void *application;

/* One rule, taken apart; what it does not say is -1. */
typedef struct { char action[16]; int nth, on, onward; word at, is, rv, number[3]; int by_rv; } rule;

static int read_rule(const char *text, const char *name, rule *r) {
    char where[64] = "", *part;
    memset(r, 0, sizeof *r);
    r->nth = r->on = -1;
    char numbers[3][32] = {"", "", ""};
    if (sscanf(text, " %63s %15s %31s %31s %31s", where, r->action, numbers[0], numbers[1],
               numbers[2]) < 2)
        return 0;
    size_t length = strcspn(where, "#?~");
    if (strlen(name) != length || strncmp(where, name, length)) return 0;
    if ((part = strchr(where, '#'))) {
        r->nth = atoi(part + 1);
        r->onward = part[1 + strspn(part + 1, "0123456789")] == '+';
    }
    if ((part = strchr(where, '?'))) {
        r->on = atoi(part + 1);
        r->is = strtoul(strchr(part, '=') + 1, NULL, 0);
    }
    if ((part = strchr(where, '~'))) {
        r->by_rv = 1;
        r->rv = strtoul(part + 1, NULL, 0);
    }
    for (int i = 0; i < 3; i++) r->number[i] = strtoul(numbers[i], NULL, 0);
    return 1;
}

static const char *next_rule(const char *at, char *rule_text, size_t size) {
    if (!at || !*at) return NULL;
    size_t length = strcspn(at, ";");
    snprintf(rule_text, size, "%.*s", (int)length, at);
    return at + length + (at[length] == ';');
}

static int holds(const rule *r, int count, const word *a) {
    if (r->nth >= 0 && !(r->onward ? count >= r->nth : count == r->nth)) return 0;
    return r->on < 0 || a[r->on] == r->is;
}

static attribute *copied(word *a, word i) {
    attribute *copy = malloc((a[i + 1] + 1) * sizeof *copy);
    memcpy(copy, (void *)a[i], a[i + 1] * sizeof *copy);
    a[i] = (word)copy;
    return copy;
}

static attribute *wanted(word *a, word i, word type) {
    attribute *each = (attribute *)a[i];
    for (word n = 0; each && n < a[i + 1]; n++)
        if (each[n].type == type) return &each[n];
    return NULL;
}

/* Returns 1 when the call must not be made. */
static int before(const rule *r, word *a, word *rv) {
    const word *n = r->number;
    if (!strcmp(r->action, "arg")) a[n[0]] = n[1];
    else if (!strcmp(r->action, "or")) a[n[0]] |= n[1];
    else if (!strcmp(r->action, "drop")) {
        attribute *each = copied(a, n[0]);
        word kept = 0;
        for (word k = 0; k < a[n[0] + 1]; k++)
            if (each[k].type != n[1]) each[kept++] = each[k];
        a[n[0] + 1] = kept;
    } else if (!strcmp(r->action, "attr")) {
        copied(a, n[0]);
        attribute *found = wanted(a, n[0], n[1]);
        if (found) {
            unsigned char *value = malloc(found->length);
            memcpy(value, found->value, found->length);
            value[0] = (unsigned char)n[2];
            found->value = value;
        }
    } else if (!strcmp(r->action, "behind")) {
        ends = a[n[1]] ? *(word *)a[n[1]] : 0;
    } else if (!strcmp(r->action, "beyond")) {
        ends = wanted(a, n[0], n[1]) ? wanted(a, n[0], n[1])->length : 0;
    } else if (!strcmp(r->action, "surrender")) {
        if (notify) notify(a[0], 0, application);
    } else if (!strcmp(r->action, "crash")) raise(SIGSEGV);
    else if (!strcmp(r->action, "hang")) pause();
    else if (!strcmp(r->action, "instead")) {
        *rv = n[0];
        return 1;
    }
    return 0;
}

static void after(const rule *r, word *a, word *rv) {
    const word *n = r->number;
    unsigned char *bytes = (unsigned char *)a[n[0]] + n[1];
    attribute *found = NULL;
    if (r->by_rv && *rv != r->rv) return;
    if (!strcmp(r->action, "return")) *rv = n[0];
    else if (!strcmp(r->action, "value") || !strcmp(r->action, "flip") ||
             !strcmp(r->action, "len") || !strcmp(r->action, "beyond"))
        found = wanted(a, n[0], n[1]);
    else if (!a[n[0]]) return;
    else if (!strcmp(r->action, "byte")) *bytes = (unsigned char)n[2];
    else if (!strcmp(r->action, "xor")) *bytes ^= (unsigned char)n[2];
    else if (!strcmp(r->action, "word")) memcpy(bytes, &n[2], sizeof(word));
    else if (!strcmp(r->action, "add")) *(word *)bytes += n[2];
    else if (!strcmp(r->action, "behind")) ((unsigned char *)a[n[0]])[ends] = 0;
    if (!found) return;
    if (!strcmp(r->action, "beyond")) {
        if (found->value) found->value[ends] = 0;
    } else if (!strcmp(r->action, "len")) found->length = n[2];
    else if (found->value && found->length && found->length != (word)-1)
        found->value[0] = !strcmp(r->action, "flip") ? found->value[0] ^ 1 : (unsigned char)n[2];
}

static word run(int i, word *a) {
    char text[256];
    rule r;
    word rv = 0;
    int skip = 0, count = __atomic_add_fetch(&calls[i], 1, __ATOMIC_SEQ_CST);
    word given[10];
    memcpy(given, a, sizeof given);
    if (i == I_OpenSession) notify = (word (*)(word, word, void *))a[3], application = (void *)a[2];
    for (const char *at = getenv("SPOIL"); (at = next_rule(at, text, sizeof text));)
        if (read_rule(text, names[i], &r) && holds(&r, count, given)) skip |= before(&r, a, &rv);
    if (!skip) rv = real[i](a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9]);
    for (const char *at = getenv("SPOIL"); (at = next_rule(at, text, sizeof text));)
        if (read_rule(text, names[i], &r) && holds(&r, count, given)) after(&r, a, &rv);
    return rv;
}

#define WRAPPER(name) \
    static word w_##name(word a, word b, word c, word d, word e, word f, word g, word h, word i, \
                         word j) { \
        word arguments[] = {a, b, c, d, e, f, g, h, i, j}; \
        return run(I_##name, arguments); \
    }
EACH(WRAPPER)
#define ENTRY(name) w_##name,
static const function wrappers[] = {EACH(ENTRY)};

static void *symbol(const char *name) {
    if (!module) module = dlopen(getenv("SPOIL_MODULE"), RTLD_NOW | RTLD_LOCAL);
    return module ? dlsym(module, name) : NULL;
}

/* Gives our table for one of the other module's; the newest one fills what the older lack. */
static table *mirrored(const table *theirs) {
    char text[256], bears[16];
    table *ours = calloc(1, sizeof *ours);
    int count = theirs->major < 3 ? 68 : theirs->minor < 2 ? 92 : 104;
    ours->major = theirs->major, ours->minor = theirs->minor;
    snprintf(bears, sizeof bears, "%d.%d", theirs->major, theirs->minor);
    for (int i = 0; i < count; i++) {
        if (!real[i]) real[i] = theirs->entry[i];
        ours->entry[i] = wrappers[i];
        rule r;
        for (const char *at = getenv("SPOIL"); (at = next_rule(at, text, sizeof text));)
            if (read_rule(text, names[i], &r) && !strcmp(r.action, "null")) ours->entry[i] = NULL;
    }
    for (const char *at = getenv("SPOIL"); (at = next_rule(at, text, sizeof text));) {
        char from[16];
        int major, minor;
        if (sscanf(text, " version %15s %d.%d", from, &major, &minor) == 3 && !strcmp(from, bears))
            ours->major = (unsigned char)major, ours->minor = (unsigned char)minor;
    }
    return ours;
}

static word give_list(word list, word b, word c, word d, word e, word f, word g, word h, word i,
                      word j) {
    static table *ours;
    table *theirs = NULL;
    word (*get)(table **) = (word (*)(table **))symbol("C_GetFunctionList");
    (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h, (void)i, (void)j;
    if (!get) return 5;
    word rv = get(list ? &theirs : NULL);
    if (rv || !list) return rv;
    if (!ours) ours = mirrored(theirs);
    *(table **)list = ours;
    return 0;
}

#ifndef NO_INTERFACES
static interface *mirrored_interface(const interface *theirs) {
    static interface ours[16];
    static const table *known[16];
    int n = 0;
    while (n < 15 && known[n] && known[n] != theirs->list) n++;
    if (!known[n]) ours[n].list = mirrored(theirs->list), known[n] = theirs->list;
    ours[n].name = theirs->name, ours[n].flags = theirs->flags;
    return &ours[n];
}

static word give_interface(word name, word version, word found, word flags, word e, word f, word g,
                           word h, word i, word j) {
    interface *theirs = NULL;
    word (*get)(word, word, interface **, word) =
        (word (*)(word, word, interface **, word))symbol("C_GetInterface");
    (void)e, (void)f, (void)g, (void)h, (void)i, (void)j;
    word rv = get(name, version, found ? &theirs : NULL, flags);
    if (!rv && found) *(interface **)found = mirrored_interface(theirs);
    return rv;
}

static word give_interfaces(word list, word count, word c, word d, word e, word f, word g, word h,
                            word i, word j) {
    word (*get)(interface *, word *) = (word (*)(interface *, word *))symbol("C_GetInterfaceList");
    (void)c, (void)d, (void)e, (void)f, (void)g, (void)h, (void)i, (void)j;
    word rv = get((interface *)list, (word *)count);
    if (!rv && list)
        for (word n = 0; n < *(word *)count; n++)
            ((interface *)list)[n] = *mirrored_interface(&((interface *)list)[n]);
    return rv;
}

word C_GetInterface(word name, word version, word found, word flags) {
    word a[10] = {name, version, found, flags};
    real[I_GetInterface] = give_interface;
    return run(I_GetInterface, a);
}

word C_GetInterfaceList(word list, word count) {
    word a[10] = {list, count};
    real[I_GetInterfaceList] = give_interfaces;
    return run(I_GetInterfaceList, a);
}
#endif

word C_GetFunctionList(word list) {
    word a[10] = {list};
    real[I_GetFunctionList] = give_list;
    return run(I_GetFunctionList, a);
}
