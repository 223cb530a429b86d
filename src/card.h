/*
 * card.h
 *		Finding payment card numbers in text, to refuse them (rule T4).
 */
#ifndef KBILLING_CARD_H
#define KBILLING_CARD_H

#include "postgres.h"

/* Whether the text holds a card number.  s need not be terminated. */
extern bool card_number_in(const char *s, size_t len);

#endif
