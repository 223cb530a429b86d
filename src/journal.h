/*
 * journal.h
 *		The one place that writes entries and moves balances (J2).
 *
 * One account: lock it, then post, within one SPI connection.  Many accounts:
 * a statement of the caller's own, through journal_write.
 */
#ifndef KBILLING_JOURNAL_H
#define KBILLING_JOURNAL_H

#include "postgres.h"
#include "access.h"
#include "compat.h"
#include "lots.h"
#include "plan.h"
#include "posting.h"
#include "table.h"

/* An account whose row this transaction has locked. */
typedef struct LockedAccount
{
	int64		account_id;
	TimestampTz at;				/* the moment of the posting */
	DateADT		today;			/* its local date */
	Money		balance;
	Money		bonus;			/* the unspent bonus and credit, a part of it */
	Lots		lots;			/* of which these expire, or have a priority of their own */
	int64		last_seq;
	bool		has_hash;		/* false before the first entry */
	uint8		last_hash[PG_SHA256_DIGEST_LENGTH];
	OptionalDate debt_since;
	OptionalDate deferred_until;
	OptionalDate stage_check_on;	/* see posting.h */
	OptionalDate closure_check_on;
	OptionalDate credit_check_on;
	OptionalDate expired_through;	/* see credit.h */
	DateADT		created_on;
	DateADT		charged_through;
	OptionalDate ends_on;
	bool		is_ended;		/* its contract (X2) */
	bool		is_closing;
	bool		is_deleted;		/* or purged */
	bool		is_purged;
	int64		last_notice_no;
	char	   *tariff;			/* see journal_tariff */
	DateADT		tariff_from;
	bool		tariff_holds;	/* it is the one in force today */
	bool		knows_stage_days;
	StageDays	stage_days;		/* of that tariff's policy; see journal_stage */
	int32		credit_notice_days;
	TableRow	row;			/* as it is stored */
} LockedAccount;

/* What the caller of journal_post decides; zero or NULL where there is nothing. */
typedef struct Posting
{
	const char *kind;			/* label of kb_entry_kind */
	Money		amount;
	CreditMove	credit;			/* before the bounds of T6 */
	const char *key;
	const char *method;
	Money		paid;
	int64		ref_seq;
	const char *member;
	const char *memo;
	Lines	   *lines;
	const char *notice;			/* label of kb_notice_kind; of the first of several */
} Posting;

/*
 * Runs a statement that changes the journal's columns of kbilling.account and
 * writes the entries for it; otherwise as plan_execute.
 */
extern uint64 journal_write(SavedPlan *plan, Datum *values, const char *nulls);

/*
 * Runs a DELETE with one parameter that takes rows of accounts which another node has: the guards of the journal let it
 * through for accounts that are not this node's own.  The caller has connected to SPI.  How many rows went.
 */
extern uint64 journal_forget(const char *sql, Oid type, Datum value);

/* Locks the row, in whatever state the account is (J8); KB001 for an unknown account, KB014 for another shard's. */
extern void journal_lock(int64 account_id, TimestampTz at, LockedAccount *account);

/* KB010 for a deleted account. */
extern void journal_require_open(const LockedAccount *account);

/* 55000 for an account whose contract has ended (X2). */
extern void journal_require_contract(const LockedAccount *account);

/*
 * Posts an entry for each of n postings, and updates the account; the notice of the
 * first is written with them (N1).  If the key of the first is known already, nothing
 * is done, and the result is false: see journal_replayed.  The keys of the others are
 * kbilling's own, made of the numbers of entries.
 */
extern bool journal_post(LockedAccount *account, const Posting *postings, int n);

/* Whether an entry stands under the key; sets the amount that was posted. */
extern bool journal_knows(const LockedAccount *account, const char *key, Money *amount);

/*
 * The seq of the entry under the posting's key, whose content must be the same
 * (J3), else KB006.
 */
extern int64 journal_replayed(const LockedAccount *account, const Posting *posting);

/* KB006: the key stands for the entry, which has other content. */
pg_noreturn extern void journal_refuse_key(const LockedAccount *account, const char *key, int64 seq);

/*
 * A caller's key; name is what errors call it.  It must not be empty, too long, or
 * one of kbilling's own (22023).
 */
extern char *journal_key(const text *key, const char *name);

/* The currencies must agree: KB002. */
extern void journal_check_currency(const LockedAccount *account, Money amount);

/* The account's tariff and stage at the moment of the posting. */
extern const char *journal_tariff(LockedAccount *account);
extern Stage journal_stage(LockedAccount *account);

/* For _PG_init: defines kbilling.allow_drop. */
extern void journal_init(void);

#endif
