/*
 * currency.h
 *		The currencies of ISO 4217, list one, with their exponents.
 */
#ifndef KBILLING_CURRENCY_H
#define KBILLING_CURRENCY_H

#include "postgres.h"

/* Numeric code of a three-letter code in any case, 0 if unknown.  s need not be terminated. */
extern uint16 currency_lookup(const char *s, size_t len);

/* As above, for an SQL argument; unknown is error 22023. */
extern uint16 currency_from_text(const text *code);

/* "USD" for 840; NULL if no such currency. */
extern const char *currency_code(uint16 currency);

/* Decimals of the currency: 2 for USD, 0 for JPY, 3 for KWD. */
extern int	currency_exponent(uint16 currency);

#endif
