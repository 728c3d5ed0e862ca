/* The ring as a model for Spin: src/ring/ring.c with its sleep and wake, its end, and the death of a side at any step. Every store of
 * a side goes through a store buffer of its own, from which stores leave in order and at any later time, as on x86; a fence waits
 * until it is empty. tests/ring/model.sh runs it for small sizes, and with each fault that a macro below makes, which it must find.
 *
 *      SIZE            bytes of the ring, a power of two
 *      COUNT           bytes that are written in all
 *      CLOSES          the writer closes at the end; else the reader knows the number
 *      WRITER_DIES, READER_DIES        at any step, or not at all */

#ifndef SIZE
#define SIZE 2
#endif
#ifndef COUNT
#define COUNT 4
#endif
#define HALF ((SIZE + 1) / 2)

/* Places in memory that both see: bytes 0 … SIZE - 1, then: */
#define TAIL            SIZE
#define CLOSED          (SIZE + 1)
#define HEAD            (SIZE + 2)
#define READER_ASLEEP   (SIZE + 3)
#define WRITER_ASLEEP   (SIZE + 4)
#define PLACES          (SIZE + 5)

/* Numbers of the ring wrap around. */
#define BEGIN   254
#define BETWEEN(from, to) ((to - from + 256) % 256)

byte memory[PLACES];

/* The store buffers of the writer and the reader. */
chan writer_buffer = [6] of { byte, byte };
chan reader_buffer = [6] of { byte, byte };

/* A byte waits in the socket of the side, or the other side has gone, which stays so. */
bool writer_bell, reader_bell;
bool writer_gone, reader_gone;
bool kill_writer, kill_reader;

inline put(buffer, place, value) { buffer!place, value }
inline fence(buffer) { len(buffer) == 0 }

/* Of what is not in the own buffer: no side loads what it stores. */
#define load(place) memory[place]

inline wake_reader() {
#ifndef NO_FENCE_BEFORE_LOOK_FOR_SLEEPER
        fence(writer_buffer);
#endif
        if
        :: load(READER_ASLEEP) ->
                /* An exchange waits for the buffer. */
                atomic { len(writer_buffer) == 0 -> was_asleep = memory[READER_ASLEEP]; memory[READER_ASLEEP] = 0 };
                if
                :: was_asleep -> reader_bell = true
                :: else
                fi
        :: else
        fi
}

inline wake_writer() {
#ifndef NO_FENCE_BEFORE_LOOK_FOR_SLEEPER
        fence(reader_buffer);
#endif
        if
        :: load(WRITER_ASLEEP) ->
                atomic { len(reader_buffer) == 0 -> was_asleep = memory[WRITER_ASLEEP]; memory[WRITER_ASLEEP] = 0 };
                if
                :: was_asleep -> writer_bell = true
                :: else
                fi
        :: else
        fi
}

proctype Writer() {
        byte tail = BEGIN, head = BEGIN, sent = 0, step = 0, i = 0, before;
        bool was_asleep;

        {
        do
        :: sent < COUNT ->
                /* ring_write(): look, copy, store the tail, wake. */
                atomic { before = head; head = load(HEAD); assert(BETWEEN(before, head) <= BETWEEN(before, tail)) };
                if
                :: BETWEEN(head, tail) < SIZE ->
                        if
                        :: step = 1
                        :: step = 2
                        fi;
                        d_step {
                                if
                                :: step > SIZE - BETWEEN(head, tail) -> step = SIZE - BETWEEN(head, tail)
                                :: else
                                fi;
                                if
                                :: step > COUNT - sent -> step = COUNT - sent
                                :: else
                                fi;
                                i = 0
                        };
#ifdef TAIL_BEFORE_BYTES
                        put(writer_buffer, TAIL, tail + step);
#endif
#ifdef LOOK_FOR_SLEEPER_BEFORE_TAIL
                        wake_reader();
#endif
                        do
                        :: i < step -> put(writer_buffer, (tail + i) % SIZE, sent + i + 1); i++
                        :: else -> break
                        od;
                        atomic { tail = tail + step; sent = sent + step };
#ifndef TAIL_BEFORE_BYTES
                        put(writer_buffer, TAIL, tail);
#endif
#ifndef LOOK_FOR_SLEEPER_BEFORE_TAIL
                        wake_reader()
#endif
                :: else ->
                        /* ring_writer_sleep() */
#ifdef WRITER_LOOKS_BEFORE_IT_SLEEPS
                        head = load(HEAD);
#endif
                        put(writer_buffer, WRITER_ASLEEP, 1);
#ifndef NO_FENCE_BEFORE_WRITER_LOOKS
                        fence(writer_buffer);
#endif
#ifndef WRITER_LOOKS_BEFORE_IT_SLEEPS
                        head = load(HEAD);
#endif
                        if
                        :: SIZE - BETWEEN(head, tail) >= HALF -> skip
                        :: else ->
                                /* A system call; and its end. */
                                atomic { writer_bell || reader_gone -> writer_bell = false };
                                if
                                :: reader_gone -> goto over
                                :: else
                                fi
                        fi;
                        put(writer_buffer, WRITER_ASLEEP, 0)
                fi
        :: else -> break
        od;
#ifdef CLOSES
#ifdef LOOK_FOR_SLEEPER_BEFORE_END
        wake_reader();
#endif
        put(writer_buffer, CLOSED, 1);
#ifndef LOOK_FOR_SLEEPER_BEFORE_END
        wake_reader()
#endif
#endif
over:   skip
        } unless { kill_writer };

        if
        :: kill_writer ->
                /* What it has stored still leaves its buffer, or does not. */
                if
                :: len(writer_buffer) == 0
                :: atomic {
                        do
                        :: len(writer_buffer) > 0 -> writer_buffer?_, _
                        :: else -> break
                        od
                   }
                fi;
                writer_gone = true
        :: else
        fi
}

proctype Reader() {
        byte head = BEGIN, tail = BEGIN, received = 0, step = 0, i = 0, before;
        bool was_asleep, is_closed, had_gone;

        {
        do
        :: true ->
                /* ring_read(): look, copy, store the head, wake. */
                had_gone = writer_gone;
                atomic { before = tail; tail = load(TAIL); assert(BETWEEN(before, tail) <= SIZE - BETWEEN(head, before)) };
                if
                :: tail == head ->
                        is_closed = load(CLOSED);
#ifndef END_BEHIND_TAIL
                        if
                        :: is_closed -> tail = load(TAIL)
                        :: else
                        fi;
#endif
                        if
                        :: tail == head && is_closed ->
                                assert(received == COUNT);
                                break
                        :: else
                        fi
                :: else
                fi;
                if
                :: tail != head ->
                        if
                        :: step = 1
                        :: step = 2
                        fi;
                        d_step {
                                if
                                :: step > BETWEEN(head, tail) -> step = BETWEEN(head, tail)
                                :: else
                                fi;
                                i = 0
                        };
#ifdef HEAD_BEFORE_BYTES
                        put(reader_buffer, HEAD, head + step);
#endif
#ifdef LOOK_FOR_SLEEPER_BEFORE_HEAD
                        wake_writer();
#endif
                        do
                        :: i < step -> assert(load((head + i) % SIZE) == received + i + 1); i++
                        :: else -> break
                        od;
                        atomic { head = head + step; received = received + step };
#ifndef HEAD_BEFORE_BYTES
                        put(reader_buffer, HEAD, head);
#endif
#ifndef LOOK_FOR_SLEEPER_BEFORE_HEAD
                        if
                        :: SIZE - BETWEEN(head, tail) >= HALF -> wake_writer()
                        :: else
                        fi;
#endif
#ifndef CLOSES
                        if
                        :: received == COUNT -> break
                        :: else
                        fi
#endif
                :: else ->
                        if
                        :: had_gone -> break
                        :: else
                        fi;
                        /* ring_reader_sleep() */
#ifdef READER_LOOKS_BEFORE_IT_SLEEPS
                        tail = load(TAIL);
                        is_closed = load(CLOSED);
#endif
                        put(reader_buffer, READER_ASLEEP, 1);
#ifndef NO_FENCE_BEFORE_READER_LOOKS
                        fence(reader_buffer);
#endif
#ifndef READER_LOOKS_BEFORE_IT_SLEEPS
                        tail = load(TAIL);
                        is_closed = load(CLOSED);
#endif
#ifdef READER_IGNORES_END
                        is_closed = false;
#endif
                        if
                        :: tail != head || is_closed
                        :: else -> atomic { reader_bell || writer_gone -> reader_bell = false }
                        fi;
                        put(reader_buffer, READER_ASLEEP, 0)
                fi
        od
        } unless { kill_reader };

        if
        :: kill_reader -> reader_gone = true
        :: else
        fi
}

/* Stores leave the buffers. */
active proctype Buffers() {
        byte place, value;

end:    do
        :: atomic { writer_buffer?place, value -> memory[place] = value }
        :: atomic { reader_buffer?place, value -> memory[place] = value }
        od
}

#ifdef WRITER_DIES
active proctype Killer() {
end:    kill_writer = true
}
#endif
#ifdef READER_DIES
active proctype Killer() {
end:    kill_reader = true
}
#endif

init {
        atomic {
                memory[TAIL] = BEGIN;
                memory[HEAD] = BEGIN;
                run Writer();
                run Reader()
        }
}
