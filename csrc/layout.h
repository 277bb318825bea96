/*
 * What lies in shared memory: the one definition, for every language.
 *
 * Little-endian, fixed width, naturally aligned; no pointers, only refs {segment:16, offset:48}. internal/layout mirrors
 * this file for Go; a test compares every TD_ constant, the compilers compare every offset. A change that moves or
 * re-interprets anything here changes TD_VERSION.
 *
 * Programs of different versions share a directory, and each cleans up what nobody uses. So these are the same in every
 * version: magic, version, kind and nonce of a segment; flags of a root with the meaning of TD_ROOT_KEEP, and doomed; the lock
 * bytes TD_LOCK_NAME and TD_LOCK_MAPPED; the names of files. A version may add flags.
 *
 * Words that different processes write lie TD_LINE bytes apart. "member" is {slot:10, gen:20} packed as
 * slot | gen << 10; 0 is nobody.
 */
#ifndef TANDEM_LAYOUT_H
#define TANDEM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shared memory is little-endian"
#endif

#define TD_MAGIC 0x6d65646e6174d00dULL
#define TD_VERSION 2
#define TD_LINE 128
#define TD_REGION 65536 /* regions are aligned to this: the largest page size in use (arm64) */

/* Lock bytes of a segment file (open file description locks; they need not lie inside the file). */
#define TD_LOCK_NAME 0   /* write: whoever unlinks or renames */
#define TD_LOCK_MAPPED 1 /* read: everyone who maps the segment; write: a cleaner asking whether anyone does */
#define TD_LOCK_SLOT 16  /* write, at TD_LOCK_SLOT + slot of the root: the life of that member */

/* ---- Members ------------------------------------------------------------------------------------------------- */

#define TD_SLOTS 1000    /* members at a time; slots are 1..TD_SLOTS */
#define TD_SLOT_BITS 10
#define TD_GEN_BITS 20
#define TD_GEN_MAX 0xffffe /* a slot that has used this generation is retired */

/* Slot word: state:4 | died:1 | zero:5 | gen:20 << 10 | zero. Written by the attacher (who holds the slot's lock) and by reapers. */
#define TD_SLOT_CLEAN 0 /* nobody; gen is the last one used, died tells how it ended */
#define TD_SLOT_LIVE 1
#define TD_SLOT_DEAD 2 /* proven; being settled by whoever helps. Who leaves settles itself and goes from LIVE to CLEAN */
#define TD_SLOT_STATE_BITS 4
#define TD_SLOT_DIED_BIT 4
#define TD_SLOT_GEN_SHIFT 10

/* Life words: the kernel marks them when the member's notice thread dies. */
#define TD_LIVES 3 /* a member has three, so that three different watchers are woken */
#define TD_LIFE_STRIDE 64
#define TD_LIFE_STEP 16 /* distance of the three words: room for a list node of the kernel at the same place of the private page */

/* ---- A segment ------------------------------------------------------------------------------------------------ */

#define TD_SEG_ROOT 1
#define TD_SEG_GROWTH 2
#define TD_SEGMENTS 4096
#define TD_UNITS 1024 /* units of memory in a segment, at most */
#define TD_UNIT_MIN_SHIFT 12

/* Places in a root. A growth segment has the segment header at 0, the unit table at TD_GROWTH_TABLE and the heap behind it. */
#define TD_ROOT_MEMBERS 0x1000   /* uint64_t[1024]: slot words */
#define TD_ROOT_SEGMENTS 0x4000  /* uint64_t[TD_SEGMENTS]: who grew segment i: member | nonce << 32; 0: not there */
#define TD_ROOT_TABLE 0xc000     /* struct td_entry[TD_UNITS] */
#define TD_ROOT_LIVES 0x10000    /* 64 KiB: life words, mapped a second time behind the private page of list nodes */
#define TD_ROOT_PAGES 0x20000    /* slot pages, TD_PAGE_SIZE each, reserved when the slot is first taken */
#define TD_PAGE_SIZE 0x4000
#define TD_ROOT_HEAP 0x1020000   /* TD_ROOT_PAGES + 1024 * TD_PAGE_SIZE */
#define TD_GROWTH_TABLE 0x1000
#define TD_GROWTH_HEAP 0x10000

#define TD_ROOT_KEEP 1    /* flag: exempt from sweeping */
#define TD_ROOT_PRIVATE 2 /* flag: born without a name for strangers */
#define TD_NAME_MAX 200
#define TD_LIMIT_GIVEN 0  /* who made the Space said so */
#define TD_LIMIT_FILES 1  /* half of the file system */
#define TD_LIMIT_CGROUP 2 /* half of what the control groups of who made it allow */
#define TD_LIMIT_MEMORY 3 /* half of the machine's memory: nothing else is limited */
#define TD_ROOT_DOOMED 352 /* offset of root.doomed, for who has only a descriptor */

struct td_segment {       /* immutable once the file has a name */
	uint64_t magic;
	uint32_t version;
	uint32_t kind;    /* TD_SEG_ROOT, TD_SEG_GROWTH */
	uint64_t nonce;   /* of the Space: the same in all its segments */
	uint64_t size;    /* bytes of the file */
	uint64_t heap;    /* offset of unit 0 */
	uint32_t units;
	uint32_t unit_shift;
	uint32_t index;   /* 0: the root */
	uint32_t uid;
	uint64_t self;    /* growth: the word in the root's table that publishes this file */
	uint64_t created; /* ns since 1970 */
	uint8_t pad[56];
};

struct td_root {
	struct td_segment seg;
	uint64_t limit;     /* bytes of all segments together */
	uint32_t flags;     /* TD_ROOT_… */
	uint32_t name_len;
	uint8_t name[208];  /* as created; for people and for finding the root of a growth file */
	uint32_t doomed;    /* 1: a cleaner has begun to remove this Space; nobody attaches any more */
	uint32_t limit_from; /* where limit comes from: TD_LIMIT_… */
	uint8_t pad0[24];
	uint32_t deaths;    /* futex; reapers add one per settled member, everyone may sleep on it */
	uint8_t pad1[124];
	uint32_t slot_hint; /* attachers: where to look for the next slot */
	uint32_t wanted;    /* who needs memory that is being given back adds one; who gives it back stops then */
	uint8_t pad2[120];
	uint64_t kinds;     /* bit k: objects of kind k may exist; set before the first one is published */
	uint8_t pad3[120];
	uint64_t directory; /* ref of the first directory block; CAS 0 -> ref, never changed again */
	uint8_t pad4[120];
};

#define TD_DIRTY_BITS 65536
#define TD_HAZARDS 16
#define TD_HAZARD_ROUSE 0 /* the object that its member wakes the waiters of */

struct td_page {               /* a member's slot page; its member writes it unless said otherwise */
	uint32_t pid;          /* for people: as the member sees itself */
	uint32_t pad0;
	uint64_t started;      /* ns since 1970 */
	uint8_t command[112];
	uint32_t doorbell;     /* futex; anyone adds one to make the member's poller look again, and wakes it if it sleeps */
	uint32_t sleeping;     /* the member's poller is (about to be) asleep on doorbell */
	uint8_t pad1[120];
	uint64_t hazard[TD_HAZARDS]; /* refs that must not be reclaimed; void when the member is dead */
	uint64_t summary[16];  /* anyone sets, after dirty: bit i: dirty[i] is not zero */
	uint64_t dirty[1024];  /* anyone sets: hash of a place whose parked waiters should look again */
	uint8_t pad2[7680];
};

/* ---- The tracker ------------------------------------------------------------------------------------------------ */

#define TD_TREE_FILE 3 /* the tracker's descriptor of the tree file */

/*
 * The tree file: memory without a name that a process tree's root process shares with its tracker alone. Who maps it holds
 * a read lock on TD_LOCK_MAPPED of it. The root process writes, the tracker reads when it has got a write lock there.
 */
struct td_tree {
	uint64_t nonce; /* of the tree's private Space, before that gets its name; 0: there is none */
	uint64_t over;  /* 1: the tree has left every Space; there is nothing to do */
};

/* ---- The heap -------------------------------------------------------------------------------------------------- */

/*
 * Entry word: state:4 | a:10 | b:20 | seq:30. Entries lie apart from what they describe. seq grows by one whenever a
 * word becomes FREE or HOLED, and continues for ever. Only CAS.
 */
#define TD_FREE 0
#define TD_CLAIM 1   /* a, b = member; first unit of a run that is being claimed, its followers point back to it; memory may be missing */
#define TD_OWNED 2   /* a, b = member; returns to FREE when that member is dead */
#define TD_SHARED 3  /* an object */
#define TD_PART 4    /* belongs to the object or lane named by aux */
#define TD_FREEING 5 /* a, b = member who began to give it back; everyone who meets it helps */
#define TD_CONT 6    /* a = distance to the first unit of the run */
#define TD_SLAB 7    /* a = class; for ever */
#define TD_HOLED 8   /* free like FREE, but its memory may have been given back: it is reserved before use, under CLAIM */
#define TD_HOLED_DOUBTFUL 1 /* a of a HOLED word: or may not, because who knew was killed */
#define TD_SEQ_SHIFT 34

struct td_entry {
	uint64_t word;
	uint64_t aux; /* written by the owner while OWNED, stable while PART */
};

/* Slab classes: data 64 << c for c < 6; object headers 512 << (c - TD_CLASS_OBJECT) for the rest. */
#define TD_CLASSES 6
#define TD_CLASS_OBJECT 16
#define TD_OBJECT_CLASSES 4
#define TD_SLAB_HEAD 64

struct td_slab { /* first bytes of a slab; immutable once the unit says TD_SLAB */
	uint32_t class_id;
	uint32_t count;    /* entries */
	uint32_t block;    /* bytes of one block */
	uint32_t first;    /* offset of block 0 from the slab's start */
	uint32_t units;    /* length of the slab's run */
	uint8_t pad[44];
	/* struct td_entry entry[count] */
};

/* ---- Objects --------------------------------------------------------------------------------------------------- */

/* Kinds: closed for a layout version. A process that meets a kind it does not know refuses to attach. */
#define TD_KIND_CONN 1
#define TD_KIND_PROCESS 2
#define TD_KINDS 3 /* one more than the largest */

struct td_object {          /* first bytes of every object header; written before it is published, then immutable */
	uint32_t kind;
	uint32_t sets;      /* hold sets; they follow at once */
	uint64_t type_hash;
	uint64_t type_size;
	uint64_t data;      /* ref of the object's block of data, a PART */
	uint64_t data_size;
	uint32_t flags;
	uint32_t type_len;
	uint8_t type_name[80];
};

/*
 * A hold set says which members hold an object, or one end of it. word: member | seq of the object's entry << 30 (low
 * 34 bits); words of another seq are void. state: phase:2 | member:30 << 2 | version:32 << 32; the version is bumped by
 * whoever joins and continues over the lives of the memory.
 */
#define TD_HOLDS 63
#define TD_SET_OPEN 0   /* member tells who went last, if it died */
#define TD_SET_CLOSED 1 /* the last holder left */
#define TD_SET_DIED 2   /* the last holder died; member tells who */

struct td_set {
	uint64_t state;
	uint64_t word[TD_HOLDS];
};

/* ---- The single-producer single-consumer ring ------------------------------------------------------------------ */

/*
 * Records lie at 8-byte aligned positions that grow for ever; position p lives at data[p & (capacity - 1)]. A record is
 * a header and its payload: header = len:32 | flags:8 << 32 | check:24 << 40. A header of 0 is "nothing yet". The
 * producer zeroes the header behind a record before it publishes the record by its header: one store commits. A record
 * never wraps; a PAD record fills the rest of the lap.
 */
#define TD_RING_MAGIC 0x53505343U
#define TD_RING_MIN 4096
#define TD_RING_MAX (1 << 30)
#define TD_REC_HEADER 8
#define TD_REC_COMMIT 1 /* set in every header */
#define TD_REC_PAD 2    /* skip to the start of the next lap */
#define TD_REC_BIG 4    /* the payload is a struct td_big */
#define TD_REC_FLAGS 7

/*
 * Wait words. SLEEPS: somebody sleeps here; set by the sleeper, cleared by who wakes it. RELAXED: set by the sleeper, it
 * promises to make everybody's stores visible (membarrier) before it sleeps, so that who might have to wake it needs no
 * fence between its store and its look at this word. Without RELAXED both sides fence. PARKED: somebody waits here without
 * a thread of his own; who clears it rings his process (td_page.doorbell).
 */
#define TD_WAIT_SLEEPS 1
#define TD_WAIT_RELAXED 2
#define TD_WAIT_PARKED 4

struct td_ring {
	uint32_t magic;    /* immutable */
	uint32_t shift;    /* capacity = 1 << shift; immutable */
	uint8_t pad0[120];
	uint64_t head;     /* consumer: published position, lags by what the policy of its process says, an eighth of the ring */
	uint8_t pad1[120];
	uint64_t cursor;   /* consumer: exact position; read when the producer finds the ring full, and at a take-over */
	uint64_t leased;   /* consumer: end of what was shown to its user but not acknowledged */
	uint8_t pad2[112];
	uint32_t rwait;    /* futex of the consumer */
	uint8_t pad3[124];
	uint32_t wwait;    /* futex of the producer */
	uint8_t pad4[60];
	uint64_t want;     /* producer, before it sleeps: the position from which on the consumer should wake it */
	uint8_t pad5[56];
};

/* ---- A connection ---------------------------------------------------------------------------------------------- */

#define TD_BIGS 8
#define TD_CONN_SIMPLEX 1

struct td_big { /* payload of a TD_REC_BIG record */
	uint64_t ref;
	uint64_t len;
};

/* Offsets of the words that say who waits for room, and who for messages. */
#define TD_LANE_PRODUCER 0
#define TD_LANE_CONSUMER 8

struct td_lane {            /* one direction: from end i to end 1 - i */
	uint64_t producer;  /* member of end i that sends; CAS from 0 or from a dead member */
	uint64_t consumer;  /* member of end 1 - i that receives; likewise */
	uint64_t ring;      /* offset of the struct td_ring in the data block; immutable */
	uint8_t pad[40];
	uint64_t big[TD_BIGS]; /* producer: refs of blocks for messages larger than the ring takes; PARTs of this lane */
};

struct td_conn {
	struct td_object obj;
	struct td_set end[2];
	struct td_lane lane[2]; /* lane[1] is unused in a simplex connection */
};

/* ---- A process ------------------------------------------------------------------------------------------------- */

#define TD_PROC_STARTED 0
#define TD_PROC_HELLO 1  /* the child has attached and taken its arguments */
#define TD_PROC_DONE 2   /* the function has returned; outcome and result are valid */
#define TD_PROCESS_PARENT 656 /* offset of the word that says who waits */
#define TD_OUTCOME_RESULT 0
#define TD_OUTCOME_ERROR 1
#define TD_OUTCOME_PANIC 2

struct td_process { /* its data: what the child has to do, with its arguments */
	struct td_object obj;
	struct td_set set;
	uint32_t state;       /* child: TD_PROC_… */
	uint32_t outcome;     /* child, before DONE: TD_OUTCOME_… */
	uint32_t wait;        /* futex of the parent */
	uint32_t pad;
	uint64_t parent;      /* member; immutable */
	uint64_t child;       /* member; child, before HELLO */
	uint64_t result;      /* ref; child, before DONE */
	uint64_t result_len;
	uint64_t taken;       /* ref: child, before HELLO: list of ends that came with the arguments */
	uint64_t taken_len;
	uint32_t parent_pid;  /* for people */
	uint32_t child_pid;
};

/* ---- The directory --------------------------------------------------------------------------------------------- */

/* Directory entry word: state:4 | member:30 << 4 | seq:30 << 34. */
#define TD_DIR_EMPTY 0
#define TD_DIR_CLAIM 1   /* its member is writing the entry */
#define TD_DIR_PENDING 2 /* written; its member looks whether the name is taken */
#define TD_DIR_LIVE 3
#define TD_DIR_ENTRIES 63

struct td_dir_entry {
	uint64_t word;
	uint64_t hash;  /* of the name; written while CLAIM */
	uint64_t ref;
	uint64_t type_hash;
	uint32_t kind;
	uint32_t seq;   /* of the object's entry */
	uint32_t name_len;
	uint32_t pad;
	uint8_t name[208];
};

struct td_directory {
	uint64_t next; /* ref of the next block; CAS 0 -> ref, never changed again */
	uint8_t pad[248];
	struct td_dir_entry entry[TD_DIR_ENTRIES];
};

/* ---- Offsets, for both compilers -------------------------------------------------------------------------------- */

#define TD_OFF(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define TD_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), "size of " #type)

#define TD_SIZE_SEGMENT 128
#define TD_SIZE_ROOT 896
#define TD_SIZE_PAGE 16384
#define TD_SIZE_TREE 16
#define TD_SIZE_ENTRY 16
#define TD_SIZE_SLAB 64
#define TD_SIZE_OBJECT 128
#define TD_SIZE_SET 512
#define TD_SIZE_RING 640
#define TD_SIZE_LANE 128
#define TD_SIZE_BIG 16
#define TD_SIZE_CONN 1408
#define TD_SIZE_PROCESS 712
#define TD_SIZE_DIR_ENTRY 256
#define TD_SIZE_DIRECTORY 16384

TD_SIZE(td_segment, TD_SIZE_SEGMENT);
TD_SIZE(td_root, TD_SIZE_ROOT);
TD_SIZE(td_page, TD_SIZE_PAGE);
TD_SIZE(td_tree, TD_SIZE_TREE);
TD_SIZE(td_entry, TD_SIZE_ENTRY);
TD_SIZE(td_slab, TD_SIZE_SLAB);
TD_SIZE(td_object, TD_SIZE_OBJECT);
TD_SIZE(td_set, TD_SIZE_SET);
TD_SIZE(td_ring, TD_SIZE_RING);
TD_SIZE(td_lane, TD_SIZE_LANE);
TD_SIZE(td_big, TD_SIZE_BIG);
TD_SIZE(td_conn, TD_SIZE_CONN);
TD_SIZE(td_process, TD_SIZE_PROCESS);
TD_SIZE(td_dir_entry, TD_SIZE_DIR_ENTRY);
TD_SIZE(td_directory, TD_SIZE_DIRECTORY);

TD_OFF(td_segment, nonce, 16);
TD_OFF(td_segment, heap, 32);
TD_OFF(td_segment, self, 56);
TD_OFF(td_root, limit, 128);
TD_OFF(td_root, name, 144);
TD_OFF(td_root, doomed, TD_ROOT_DOOMED);
TD_OFF(td_root, deaths, 384);
TD_OFF(td_root, slot_hint, 512);
TD_OFF(td_root, wanted, 516);
TD_OFF(td_root, kinds, 640);
TD_OFF(td_root, directory, 768);
TD_OFF(td_page, doorbell, 128);
TD_OFF(td_page, hazard, 256);
TD_OFF(td_page, dirty, 512);
TD_OFF(td_object, data, 24);
TD_OFF(td_object, type_name, 48);
TD_OFF(td_ring, head, 128);
TD_OFF(td_ring, cursor, 256);
TD_OFF(td_ring, leased, 264);
TD_OFF(td_ring, rwait, 384);
TD_OFF(td_ring, wwait, 512);
TD_OFF(td_ring, want, 576);
TD_OFF(td_lane, producer, TD_LANE_PRODUCER);
TD_OFF(td_lane, consumer, TD_LANE_CONSUMER);
TD_OFF(td_lane, big, 64);
TD_OFF(td_conn, lane, 1152);
TD_OFF(td_process, state, 640);
TD_OFF(td_process, parent, TD_PROCESS_PARENT);
TD_OFF(td_process, result, 672);
TD_OFF(td_dir_entry, name, 48);
TD_OFF(td_directory, entry, 256);

#endif
