/* Answers that need not cross to the rack, because they were given before and nothing has changed.
 *
 * The rack shares a number with its programs, the epoch, and changes it with everything that could
 * change an answer; so the same request in the same epoch has the same answer. Kept are what
 * programs ask again and again: attributes, the session's info, and how long the output of an
 * operation will be. The rack is told of such calls with the next one, for its trace. Each thread
 * keeps what its own calls were answered.
 *
 * An operation that is begun as the same one was before is begun with a promise: the answer is given
 * at once, and the rack begins the operation when the next call comes, before it. */
#define _GNU_SOURCE
#include "recall.h"

#include <stdlib.h>

enum {
    GET_SESSION_INFO = 16,
    GET_ATTRIBUTE_VALUE = 25,
    WORDS = HEADER_SIZE + 3 * sizeof(uint64_t), /* of C_Sign and the like, before the data */
    MOST_UNTOLD = 32 * 1024,
};

enum step { ELSE, REPEATED, BEGIN, WHOLE };

static enum step step_of(const struct call *call)
{
    switch (call->number) {
    case GET_SESSION_INFO: case GET_ATTRIBUTE_VALUE:
        return REPEATED;
    case 30: case 34: case 38: case 43: /* C_EncryptInit, C_DecryptInit, C_DigestInit, C_SignInit */
        return call->words[1] ? BEGIN : ELSE; /* without a mechanism they end what is under way */
    case 31: case 35: case 39: case 44: /* C_Encrypt, C_Decrypt, C_Digest, C_Sign */
        return WHOLE;
    default:
        return ELSE;
    }
}

/* The place in `idle` of the operation that a function begins, or does in one part. */
static unsigned place_of(unsigned number)
{
    return number < 34 ? 0 : number < 38 ? 1 : number < 43 ? 2 : 3;
}

static uint64_t hash_of(const uint8_t *bytes, size_t size) /* FNV-1a */
{
    uint64_t hash = UINT64_C(14695981039346656037);

    while (size--)
        hash = (hash ^ *bytes++) * UINT64_C(1099511628211);
    return hash ? hash : 1;
}

static void know_nothing(struct known *known)
{
    if (known->frames)
        explicit_bzero(known->frames, MOST_KNOWN);
    free(known->frames);
    *known = (struct known){0};
}

/* Keep a request, whose answer is still to come. False if it is too long to be kept. */
static bool keep_request(struct known *known, const uint8_t *request, size_t size)
{
    known->epoch = 0;
    if (size > MOST_KNOWN || (!known->frames && !(known->frames = malloc(MOST_KNOWN))))
        return false;
    memcpy(known->frames, request, size);
    known->request = size;
    return true;
}

static void keep_answer(struct known *known, const struct frame *answer, uint64_t epoch)
{
    if (answer->size > MOST_KNOWN - known->request)
        return;
    memcpy(known->frames + known->request, answer->bytes, answer->size);
    known->answer = answer->size;
    known->epoch = epoch;
}

static bool is_known(const struct known *known, const uint8_t *request, size_t size,
                     uint64_t epoch)
{
    return known->epoch == epoch && known->request == size &&
           memcmp(known->frames, request, size) == 0;
}

/* Only the length of an output is asked for: C_Sign and the like with a NULL buffer. */
static bool asks_length(const struct call *call)
{
    return !call->words[3] && call->words[4];
}

/* Give a known answer, and note that it was given. False if there is no room to note it in. */
static bool give(struct recall *recall, const struct known *known, const struct frame *request,
                 struct reader *answer)
{
    size_t begin = recall->untold.size;

    if (begin + request->size > MOST_UNTOLD)
        return false;
    frame_put(&recall->untold, request->bytes, request->size);
    if (recall->untold.failed)
        return false;
    recall->untold.bytes[begin + 1] |= TOLD;
    *answer = (struct reader){known->frames + known->request + HEADER_SIZE,
                              known->answer - HEADER_SIZE, false};
    return true;
}

/* An operation has been begun, or promised to be. */
static void begin(struct recall *recall, const struct call *call)
{
    recall->began_epoch = recall->epoch;
    recall->session = call->words[0];
    recall->whole = call->number + 1;
}

/* Whether no operation of that kind is under way, as far as this thread can tell. Used up by the
 * call that begins one. */
static bool take_idle(struct recall *recall, const struct call *call)
{
    struct idle *idle = &recall->idle[place_of(call->number)];
    bool is_idle = idle->epoch == recall->epoch && idle->session == call->words[0];

    idle->epoch = 0;
    return is_idle;
}

/* Find the answer to a request in this epoch; 0 is the epoch in which everything is asked. False
 * where the rack has to be asked: its answer is to be handed to recall_learn. */
bool recall_find(struct recall *recall, const struct call *call, const struct frame *request,
                 uint64_t epoch, struct reader *answer)
{
    enum step step = step_of(call);
    struct known *known = &recall->length;
    size_t size = WORDS;
    uint64_t hash = 0;
    bool holds = true;

    recall->learning = NULL;
    recall->epoch = epoch;
    recall->goes_on = step != REPEATED;
    switch (step) {
    case REPEATED: case BEGIN:
        size = request->size;
        hash = hash_of(request->bytes, size);
        known = &recall->answers[hash % KNOWN];
        break;
    case WHOLE:
        if (recall->began && recall->began_epoch == epoch && recall->whole == call->number &&
            recall->session == call->words[0] && asks_length(call))
            break; /* its data is of no matter, only how long it is */
        recall->began = 0;
        return false;
    default:
        recall->began = 0;
        memset(recall->idle, 0, sizeof recall->idle);
        return false;
    }
    if (step == BEGIN) {
        recall->began = hash;
        holds = take_idle(recall, call) && recall->may_promise;
    } else if (step == WHOLE) {
        holds = recall->length_began == recall->began;
    }
    if (!epoch)
        return false;
    if (is_known(known, request->bytes, size, epoch) && holds) {
        if (!give(recall, known, request, answer))
            return false;
        if (step == BEGIN) {
            begin(recall, call);
            atomic_store(&recall->promised, true);
        }
        return true;
    }
    if (keep_request(known, request->bytes, size))
        recall->learning = known;
    return false;
}

/* The answer that was found is not given after all: ask the rack. */
void recall_take_back(struct recall *recall, const struct frame *request)
{
    recall->untold.size -= request->size;
    recall->began = 0;
}

/* Learn from the answer of a call that recall_find did not know, if it was CKR_OK. */
void recall_learn(struct recall *recall, const struct call *call, const struct frame *answer)
{
    uint64_t rv = CKR_GENERAL_ERROR;

    if (answer->size >= HEADER_SIZE + sizeof rv)
        memcpy(&rv, answer->bytes + HEADER_SIZE, sizeof rv);
    if (rv != CKR_OK) {
        recall->began = 0;
    } else if (recall->learning) {
        keep_answer(recall->learning, answer, recall->epoch);
        if (recall->learning == &recall->length)
            recall->length_began = recall->began;
    }
    if (rv == CKR_OK && step_of(call) == BEGIN)
        begin(recall, call);
    if (rv == CKR_OK && step_of(call) == WHOLE && call->words[3]) /* not its length alone */
        recall->idle[place_of(call->number)] = (struct idle){recall->epoch, call->words[0]};
    recall->learning = NULL;
}

/* Forget everything, what was not told included. */
void recall_forget(struct recall *recall)
{
    for (unsigned i = 0; i < KNOWN; i++)
        know_nothing(&recall->answers[i]);
    know_nothing(&recall->length);
    frame_forget(&recall->untold);
    free(recall->untold.bytes);
    recall->untold = (struct frame){0};
    recall->began = 0;
    memset(recall->idle, 0, sizeof recall->idle);
    atomic_store(&recall->promised, false);
}
