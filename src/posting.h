/*
 * posting.h
 *		The rules of a posting: what an amount does to the bonus and the debt of
 *		an account and to what the sweep has to look at, and the hash of an entry.
 *		Values in, value out; the journal calls them for one account, the month
 *		charge's statement for many.
 */
#ifndef KBILLING_POSTING_H
#define KBILLING_POSTING_H

#include "postgres.h"
#include "access.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "lines.h"
#include "lots.h"
#include "money.h"

/* Keys that begin with it are kbilling's own. */
#define OWN_KEY_PREFIX	"kb:"

/* One entry, as it is hashed and stored; all pointers but kind, key and posted_by may be NULL. */
typedef struct Entry
{
	int64		account_id;
	int64		seq;
	const char *kind;			/* label of kb_entry_kind */
	Money		amount;
	Money		balance_after;
	Money		bonus_after;
	OptionalDate debt_since;	/* after the entry */
	DateADT		effective_on;
	TimestampTz posted_at;
	const char *key;
	OptionalDate period;
	const char *method;
	Money		paid;			/* NO_MONEY: as amount */
	int64		ref_seq;		/* 0: none */
	const char *member;
	const char *posted_by;
	const char *memo;
	Lines	   *lines;
	Lots		lots;			/* how it moved credit; none for SQL NULL */
} Entry;

/* T6: bonus + delta, kept between nothing and what is on the balance; of which lots it is, is credit_after's to say. */
extern Money posting_bonus_after(Money bonus, Money delta, Money balance_after);

/*
 * N5, G3: the day of the sweep's next look at the account's credit, for its row, after a posting that moved lots: what is added
 * is looked at so many days before it expires, or today if that is sooner.
 */
extern OptionalDate posting_credit_check_on(OptionalDate check_on, const Lots *move, DateADT today, int32 notice_days);

/* T6: what goes of an unspent bonus with a part of the money that is left of its top-up; in minor units, rounded by M4. */
extern int64 posting_bonus_share(int64 unspent, int64 part, int64 remaining);

/* C1, X2: the day from which the next period can be charged; always later than that of the last one. */
extern DateADT posting_charge_due_on(DateADT charged_through, OptionalDate ends_on);

/* S1 */
extern OptionalDate posting_debt_since(OptionalDate before, Money balance_after, DateADT effective_on);

/*
 * The day of the sweep's next look at the account's stage, for its row; check_on and
 * debt_before are what the row says so far.  days may be NULL if there is no debt
 * after the posting.
 */
extern OptionalDate posting_stage_check_on(OptionalDate check_on, OptionalDate debt_before, OptionalDate debt_since,
										   OptionalDate deferred_until, DateADT tariff_from, DateADT today,
										   const StageDays *days);

/*
 * The day of its next look whether the account may be closed (D1, X3).  The entry that takes the last of the balance moves it to the
 * day on which that takes effect, if it is later.
 */
extern OptionalDate posting_closure_check_on(OptionalDate check_on, Money balance_before, Money balance_after,
											 DateADT effective_on);

/*
 * J5: SHA-256 over the hash before (none for the first entry) and the fields in
 * the order of the struct.  A number is 8 bytes in network order; a date counts
 * days and a moment microseconds from 2000-01-01 (UTC); any other field is its
 * text in UTF-8, money as "19.00 USD", lots as lots_to_cstring has them.  Each is led by its length in 4 bytes; a
 * field that is NULL is the length 0xFFFFFFFF alone.
 */
extern void posting_hash(const uint8 *previous, const Entry *entry,
						 uint8 hash[PG_SHA256_DIGEST_LENGTH]);

#endif
