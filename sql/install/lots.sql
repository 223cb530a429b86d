/*
 * Credit by priority and expiry (rules G), over values.
 */

CREATE TYPE kbilling.kb_lot AS (
	priority   integer,
	expires_on date,
	amount     kb_money
);
COMMENT ON TYPE kb_lot IS
'Credit of one priority and expiry (G2). Credit that never expires, and has the priority 50, is not listed: it is what the '
'unspent credit has beyond what is listed';
COMMENT ON COLUMN kb_lot.priority IS 'Lower numbers are spent first';
COMMENT ON COLUMN kb_lot.expires_on IS 'The local date from which on it is spent no more (G3); infinity: it never expires';
COMMENT ON COLUMN kb_lot.amount IS 'How much of it there is; in an entry, by how much that moved it';

-- Strict, so that accounts without such credit pay nothing for them.
CREATE FUNCTION kbilling_internal.kb_lots_after(lots kb_lot[], total kb_money, total_after kb_money, today date) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_after';
COMMENT ON FUNCTION kb_lots_after(kb_lot[], kb_money, kb_money, date) IS
'The lots of an account whose unspent credit was, and is then, as the arguments say, as a charge of today has spent some: first '
'what had expired and was kept for it (G3), then the rest in the order of G2; NULL if none is left';

CREATE FUNCTION kbilling_internal.kb_lots_less(lots kb_lot[], total kb_money, expired kb_lot[]) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_less';
COMMENT ON FUNCTION kb_lots_less(kb_lot[], kb_money, kb_lot[]) IS
'The lots of an account without those that kb_expired_lots says; NULL if none is left';

CREATE FUNCTION kbilling_internal.kb_lots_move(before kb_lot[], after kb_lot[], total kb_money) RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_move';
COMMENT ON FUNCTION kb_lots_move(kb_lot[], kb_lot[], kb_money) IS
'By how much lots have moved from one to the other, in the currency of "total"; NULL if they are the same';

CREATE FUNCTION kbilling_internal.kb_expired_lots(lots kb_lot[], total kb_money, expired_through date, charged_through date,
												  today date, days date[], owed kb_money[])
	RETURNS kb_lot[]
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_expired_lots';
COMMENT ON FUNCTION kb_expired_lots(kb_lot[], kb_money, date, date, date, date[], kb_money[]) IS
'What has to leave the balance today as it has expired (G3), as amounts below zero; NULL if nothing. The arguments are columns of the '
'account, its local date, and what it owes for the days before each day on which credit expires that was not booked yet';

CREATE FUNCTION kbilling_internal.kb_lots_may_expire(lots kb_lot[], total kb_money, expired_through date, charged_through date, today date)
	RETURNS boolean
	LANGUAGE c IMMUTABLE PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'kb_lots_may_expire';
COMMENT ON FUNCTION kb_lots_may_expire(kb_lot[], kb_money, date, date, date) IS
'Whether kb_expired_lots has anything to look at: some have expired, and that is to be booked, or what was kept for a charge that is '
'there by now. The arguments are its first ones; false without lots';
