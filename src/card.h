/*
 * card.h
 *		Finding payment card numbers in text, to refuse them (rule T4).
 */
#ifndef KBILLING_CARD_H
#define KBILLING_CARD_H

#include "postgres.h"

/* Whether the text holds a card number.  s need not be terminated. */
extern bool card_number_in(const char *s, size_t len);

/* Error KB008 if it does; before a text is repeated in another error. */
extern void card_check(const char *s);

/* The same for what a jsonb holds; value is detoasted. */
extern void card_check_jsonb(struct varlena *value);

#endif
