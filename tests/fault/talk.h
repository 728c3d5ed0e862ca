/* Two sessions that talk, and a book of what they said: what must be true of it whatever the fault. */
#pragma once

#include "fault/fault.h"

enum { TALK_QUESTIONS_MAX = 100 };

struct talk {
        ferry_loop *loop;
        ferry_session *a, *b;
        unsigned sent, received;        /* notifications from a to b */
        unsigned lost;                  /* of those; b was told of each */
        unsigned asked;                 /* questions from a to b, by number */
        unsigned served[TALK_QUESTIONS_MAX];
        bool is_not_executed[TALK_QUESTIONS_MAX];
        unsigned promised, called_back; /* calls that were given away; those that ended */
        unsigned closed[2];
        ferry_message *kept;            /* requests to answer late; never */
        ferry_message *ignored;
        bool is_nested;
        const char *text;               /* of the notifications that have one */
};

/* Let @b serve: notifications are compared, requests are answered as their type says. */
void talk_begin(struct talk *talk);

/* A says something that b has to hear in order. */
void talk_note(struct talk *talk);

/* The same, with a text beside, which stays as it is until b has it. */
void talk_note_with(struct talk *talk, const char *text);

/* A asks; whether it was answered as expected. */
bool talk_ask(struct talk *talk, const char *type, int expected);

/* A asks, and gives the call away. */
void talk_promise(struct talk *talk, const char *type);

/* All that two can do: requests both ways, late answers, errors, cancels, deadlines, nested waits. */
void talk_everything(struct talk *talk);

/* Run the loop for so long, or less if it has nothing to do. */
void talk_run(ferry_loop *loop, int ms);

/* Close a, run until b knows, free the loop, and compare the book. */
void talk_end(struct talk *talk);
