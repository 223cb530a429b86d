/*
 * ascii.h
 *		Digits and letters of ASCII: the locale has no say in what a card number or
 *		a language's tag is.
 */
#ifndef KBILLING_ASCII_H
#define KBILLING_ASCII_H

#include "postgres.h"

/* 0 to 9 */
static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* a to z, in either case */
static inline bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif
