/*
 * charge.h
 *		The month charge of many accounts (rules C).
 */
#ifndef KBILLING_CHARGE_H
#define KBILLING_CHARGE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "utils/array.h"

/*
 * Charges the oldest ended period of each of the accounts (bigint[]) that has
 * one, in one statement; entries is set to how many of them had something due
 * (C8).  An account that is charged or changed by another transaction meanwhile
 * is left alone.  Returns the number of accounts charged; the caller has
 * connected to SPI.
 */
extern uint64 charge_post(ArrayType *account_ids, TimestampTz at, uint64 *entries);

#endif
