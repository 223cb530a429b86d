/*
 * journal.h
 *		The one place that writes entries and moves balances (J2).
 *
 * One account: lock it, append entries, store what they made of it, all within
 * one SPI connection.  Many accounts: journal_post_charges, one statement.
 */
#ifndef KBILLING_JOURNAL_H
#define KBILLING_JOURNAL_H

#include "postgres.h"
#include "access.h"
#include "posting.h"
#include "utils/array.h"

/* An account whose row this transaction has locked. */
typedef struct LockedAccount
{
	int64		account_id;
	TimestampTz at;				/* the moment of the posting */
	DateADT		today;			/* its local date */
	Money		balance;
	Money		bonus;			/* the unspent part of it */
	int64		last_seq;
	bool		has_hash;		/* false before the first entry */
	uint8		last_hash[PG_SHA256_DIGEST_LENGTH];
	OptionalDate debt_since;
	OptionalDate deferred_until;
	DateADT		created_on;
	DateADT		charged_through;
	char	   *tariff;			/* in force today */
	StageDays	stage_days;		/* of that tariff's policy */
} LockedAccount;

/* What the caller of journal_append decides; zero or NULL where there is nothing. */
typedef struct Posting
{
	const char *kind;			/* label of kb_entry_kind */
	Money		amount;
	int64		bonus_delta;	/* minor units, before the bounds of T6 */
	const char *key;
	const char *method;
	int64		ref_seq;
	const char *member;
	const char *memo;
	Jsonb	   *lines;
} Posting;

/* Locks the row; KB001 for an unknown account, KB010 for a deleted one. */
extern void journal_lock(int64 account_id, TimestampTz at, LockedAccount *account);

/*
 * Appends an entry.  False, and nothing done, if the key is known already: see
 * journal_replayed.
 */
extern bool journal_append(LockedAccount *account, const Posting *posting);

/* Moves the account's row to where the appended entries have brought it. */
extern void journal_store(const LockedAccount *account);

/*
 * The seq of the entry under the posting's key, whose content must be the same
 * (J3), else KB006.
 */
extern int64 journal_replayed(const LockedAccount *account, const Posting *posting);

/*
 * A caller's reference for a key: not empty, not over-long, not one of
 * kbilling's own (22023).
 */
extern char *journal_key(const text *reference);

/* The currencies must agree: KB002. */
extern void journal_check_currency(const LockedAccount *account, Money amount);

/* Stage of the account as it is, at the moment of the posting. */
extern Stage journal_stage(const LockedAccount *account);

/* Label of the stage that the account had after entry seq (0: before the first), at the posting of entry at_seq. */
extern char *journal_stage_then(const LockedAccount *account, int64 seq, int64 at_seq);

/*
 * Charges the oldest ended period of each of the accounts (bigint[]) that has
 * one, in one statement.  Leaves a row for each account charged in
 * SPI_tuptable: account_id, period, seq (NULL if nothing was due, C8), total,
 * balance, debt_since.  An account that is charged or changed by another
 * transaction meanwhile is left alone.
 */
extern uint64 journal_post_charges(ArrayType *account_ids, TimestampTz at);

#endif
