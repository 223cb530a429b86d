/*
 * bonus.h
 *		The bonus of a top-up (rule T5).
 */
#ifndef KBILLING_BONUS_H
#define KBILLING_BONUS_H

#include "postgres.h"
#include "journal.h"

/* What a top-up of the amount would earn now, zero or more; and when that would expire: infinity if never. */
extern Money bonus_for(LockedAccount *account, Money amount, DateADT *expires_on);

#endif
