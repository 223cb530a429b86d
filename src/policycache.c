/*
 * policycache.c
 *		What the policies of tariffs say, kept for the session.
 *
 * The answer is that of the active snapshot, as if it were read each time:
 *
 * - What was read belongs to the snapshot that it was read with, and to that of
 *   its (sub)transaction and command alone, as it may be what that has written.
 *
 * - It outlives the snapshot if every row was read as the latest version, which is
 *   committed, and nobody had begun to write a newer one (rowread.h).  Who does so
 *   later tells all sessions by a trigger, at once and not when it commits: there
 *   is a moment in which a commit is seen, and its messages are not sent yet.  Each
 *   use takes the messages first.  So a snapshot that sees the newer version finds
 *   nothing kept, and what is read between the message and the commit is not the
 *   latest version.  A snapshot that was taken before what is kept was read is not
 *   answered from it: a cursor's may be older.
 *
 * - Serializable transactions read for themselves, as what they read is to be
 *   locked.  A standby, which no trigger tells, reads once a snapshot.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/trigger.h"
#include "compat.h"
#include "enumvalue.h"
#include "fmgr.h"
#include "policycache.h"
#include "rowread.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

enum
{
	TARIFF_TARIFF, TARIFF_POLICY
};

static ReadTable tariff_table = {.name = "tariff", .columns = {"tariff", "policy"}, .nkeys = 1};

enum
{
	POLICY_POLICY, POLICY_REMIND_DAY, POLICY_RESTRICT_DAY, POLICY_BLOCK_DAY, POLICY_ACTIVITY
};

static ReadTable policy_table = {
	.name = "policy", .columns = {"policy", "remind_day", "restrict_day", "block_day", "activity"}, .nkeys = 1
};

enum
{
	ACTIVITY_IS_ANY, ACTIVITY_IS_LOGINS
};

static EnumType activity_type = {.name = "activity", .labels = {"any", "logins"}};

/* Tariffs with longer codes are not kept. */
#define MAX_CODE	48

/* What is kept of a tariff. */
typedef struct KnownTariff
{
	char		code[MAX_CODE];
	TariffPolicy policy;
} KnownTariff;

/* A snapshot; of one session, those with the same numbers see the same. */
typedef struct SnapshotMark
{
	LocalTransactionId transaction;
	SubTransactionId subtransaction;
	CommandId	command;
	TransactionId xmax;			/* it sees nothing of this and later transactions */
	uint64		running;		/* their number and the sum of their numbers: earlier ones that it does not see */
	uint64		running_sum;
} SnapshotMark;

static struct
{
	HTAB	   *tariffs;		/* of KnownTariff; NULL: none */
	SnapshotMark mark;			/* of the snapshot that they were read with */
	bool		outlives;		/* they are what later snapshots see, too */
	uint64		changes;		/* of both tables, when they were read */
} kept;

/* How often we were told of a change */
static uint64
count_changes(void)
{
	return tariff_table.changes + policy_table.changes;
}

/* The mark of a snapshot */
static SnapshotMark
mark_of(Snapshot snapshot)
{
	SnapshotMark mark = {
		.transaction = kb_transaction_number(),
		.subtransaction = GetCurrentSubTransactionId(),
		.command = snapshot->curcid,
		.xmax = snapshot->xmax,
		.running = snapshot->takenDuringRecovery ? (uint64) snapshot->subxcnt : snapshot->xcnt
	};
	const TransactionId *running = snapshot->takenDuringRecovery ? snapshot->subxip : snapshot->xip;

	for (uint64 i = 0; i < mark.running; i++)
		mark.running_sum += running[i];
	return mark;
}

/* Whether both see the same of other transactions */
static bool
sees_the_same(const SnapshotMark *a, const SnapshotMark *b)
{
	return a->xmax == b->xmax && a->running == b->running && a->running_sum == b->running_sum;
}

/* Whether the marks are of the same snapshot */
static bool
is_same(const SnapshotMark *a, const SnapshotMark *b)
{
	return a->transaction == b->transaction && a->subtransaction == b->subtransaction && a->command == b->command &&
		sees_the_same(a, b);
}

/* Whether a snapshot surely sees all that another one sees: as time goes by, xmax grows */
static bool
is_later(const SnapshotMark *a, const SnapshotMark *b)
{
	return TransactionIdFollows(a->xmax, b->xmax) || sees_the_same(a, b);
}

/* Keep only what holds for the snapshot */
static void
keep_what_holds(const SnapshotMark *mark)
{
	HASHCTL		shape = {.keysize = MAX_CODE,.entrysize = sizeof(KnownTariff),.hcxt = TopMemoryContext};

	if (kept.tariffs != NULL && is_same(mark, &kept.mark))
		return;
	if (kept.tariffs != NULL && kept.outlives && kept.changes == count_changes() && is_later(mark, &kept.mark) &&
		!IsolationIsSerializable())
		return;
	if (kept.tariffs != NULL)
		hash_destroy(kept.tariffs);
	kept.tariffs = NULL;
	kept.tariffs = hash_create("policies of tariffs", 16, &shape, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	kept.mark = *mark;
	kept.outlives = !RecoveryInProgress();
	kept.changes = count_changes();
}

/* Read the policy of a tariff; *is_latest, whether both rows are the latest versions */
static bool
read_policy(Datum tariff, TariffPolicy *policy, bool *is_latest)
{
	ReadRow		row;

	if (!row_read(&tariff_table, &tariff, &row))
		return false;
	*is_latest = row.is_latest;
	if (!row_read(&policy_table, &row.values[TARIFF_POLICY], &row))
		return false;
	*is_latest = *is_latest && row.is_latest;
	policy->days.remind_day = DatumGetInt32(row.values[POLICY_REMIND_DAY]);
	policy->days.restrict_day = DatumGetInt32(row.values[POLICY_RESTRICT_DAY]);
	policy->days.block_day = DatumGetInt32(row.values[POLICY_BLOCK_DAY]);
	policy->counts_logins_alone = enum_label_no(&activity_type, row.values[POLICY_ACTIVITY]) == ACTIVITY_IS_LOGINS;
	return true;
}

/* Keep what was read with the snapshot, for later ones if it is the latest and nothing has changed meanwhile */
static void
keep(const char *code, const TariffPolicy *policy, const SnapshotMark *mark, bool is_latest)
{
	KnownTariff *known = hash_search(kept.tariffs, code, HASH_ENTER, NULL);

	known->policy = *policy;
	if (is_latest && kept.changes == count_changes())
		return;
	kept.mark = *mark;
	kept.outlives = false;
}

bool
policy_of_tariff(Datum tariff, TariffPolicy *policy)
{
	const text *name = DatumGetTextPP(tariff);
	SnapshotMark mark = mark_of(GetActiveSnapshot());
	char		code[MAX_CODE] = "";
	KnownTariff *known;
	bool		is_latest;

	if (VARSIZE_ANY_EXHDR(name) >= MAX_CODE)
		return read_policy(tariff, policy, &is_latest);
	text_to_cstring_buffer(name, code, sizeof(code));
	AcceptInvalidationMessages();
	keep_what_holds(&mark);
	known = hash_search(kept.tariffs, code, HASH_FIND, NULL);
	if (known != NULL)
	{
		*policy = known->policy;
		return true;
	}
	if (!read_policy(tariff, policy, &is_latest))
		return false;
	keep(code, policy, &mark, is_latest);
	return true;
}

/* Trigger: kb_tell_policy_change(), after a row of kbilling.policy or kbilling.tariff was written */
PG_FUNCTION_INFO_V1(kb_tell_policy_change);
Datum
kb_tell_policy_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	SharedInvalidationMessage message = {.rc = {.id = SHAREDINVALRELCACHE_ID,.dbId = MyDatabaseId}};

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "kb_tell_policy_change is a trigger function");
	message.rc.relId = RelationGetRelid(trigger->tg_relation);
	SendSharedInvalidMessages(&message, 1);
	return PointerGetDatum(NULL);
}
