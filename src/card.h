/*
 * card.h
 *		Finding payment card numbers in text, to refuse them (rule T4).
 */
#ifndef KBILLING_CARD_H
#define KBILLING_CARD_H

#include "postgres.h"

#include "compat.h"
#include "utils/jsonb.h"

/* Whether the text holds a card number.  s need not be terminated. */
extern bool card_number_in(const char *s, size_t len);

/* Error KB008 if it does; before a text is repeated in another error. */
extern void card_check(const char *s);

/* The text, for an error to repeat; if it holds a card number, words that say so. */
extern const char *card_hidden(const char *s);

/* A copy of the text with an asterisk for each digit of the card numbers in it. */
extern char *card_masked(const char *s);

/*
 * For an input function, before it reads the text: where that holds a number, errors have no context, as COPY's
 * would show the text.  It returns the context, to be put back after.
 */
extern ErrorContextCallback *card_hide_context(const char *s);

/* Whether a key, string or number of the value holds one. */
extern bool card_number_in_jsonb(Jsonb *jsonb);

/* Error KB008, which names what holds a card number, but does not repeat the number. */
pg_noreturn extern void card_refuse(const char *what);

#endif
