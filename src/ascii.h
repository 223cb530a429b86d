/*
 * ascii.h
 *		Digits and letters of ASCII, of which card numbers and language tags are
 *		made whatever the locale is.
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
