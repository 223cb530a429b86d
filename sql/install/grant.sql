/*
 * Credit that is granted (rules G).
 */

CREATE FUNCTION kbilling.kb_grant_credit(account_id bigint, amount kb_money, reference text, memo text, expires_on date = NULL,
										 priority integer = 50)
	RETURNS bigint
	LANGUAGE c VOLATILE SECURITY DEFINER SET search_path = pg_catalog, kbilling, kbilling_internal, pg_temp
	AS 'MODULE_PATHNAME', 'kb_grant_credit';
COMMENT ON FUNCTION kb_grant_credit(bigint, kb_money, text, text, date, integer) IS
'Gives an account credit, for the reason in "memo", and returns the number of the entry (G1). It is spent before paid money, and '
'never paid out (G4): lower priorities, from 0 to 1000, first, then what expires first (G2). From the local midnight with which '
'"expires_on" begins it is spent no more (G3); NULL: it never expires. '
'Errors: KB001, KB002, KB006, KB010; KB005 for an amount that is not above zero; 22008 for an expiry that is not after today, or is '
'infinite; 22023 for a priority out of range; 55000 once the contract has ended (X2)';
