# What a version of the extension has made in a database, as text: to compare one that was created with one that was updated,
# or restored.
package Catalog;
use strict;
use warnings;

use Exporter 'import';
our @EXPORT_OK = qw(catalog);

# Who may do what, in an order of its own; a class of objects as acldefault calls it, the owner, and the list. "others" is a
# condition: whether roles other than the owner and PUBLIC count.
sub rights
{
	my ($class, $owner, $acl) = @_;
	return qq{(SELECT string_agg(concat_ws(' ', CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END,
			a.privilege_type, a.is_grantable), ', '
			ORDER BY CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END, a.privilege_type)
		FROM aclexplode(coalesce($acl, acldefault('$class', $owner))) a WHERE a.grantee IN (0, $owner) OR :others)};
}

# A row for each object, or part of one: what it is called, and all that defines it.  Not in what order columns were added,
# as a new one is the last wherever it belongs.
my $query = qq{
	WITH member AS (
		SELECT d.classid, d.objid FROM pg_depend d
		WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
			AND d.refobjid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'kbilling')
	), relation AS (
		SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
	)
	SELECT concat_ws(' | ', i.type, i.identity, obj_description(m.objid, m.classid::regclass::name))
	FROM member m, pg_identify_object(m.classid, m.objid, 0) i
	UNION ALL
	SELECT concat_ws(' | ', 'routine', p.oid::regprocedure, CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) END,
		@{[ rights('f', 'p.proowner', 'p.proacl') ]})
	FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
	UNION ALL
	SELECT concat_ws(' | ', 'relation', c.oid::regclass, c.relkind, c.reloptions, CASE c.relkind WHEN 'v' THEN pg_get_viewdef(c.oid) END,
		@{[ rights('r', 'c.relowner', 'c.relacl') ]})
	FROM relation c
	UNION ALL
	SELECT concat_ws(' | ', 'column', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
		a.attgenerated, a.attcollation, pg_get_expr(f.adbin, f.adrelid), col_description(a.attrelid, a.attnum), a.attacl)
	FROM relation c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
	UNION ALL
	SELECT concat_ws(' | ', 'constraint', c.oid::regclass, t.contypid::regtype, o.conname, pg_get_constraintdef(o.oid))
	FROM pg_constraint o LEFT JOIN relation c ON c.oid = o.conrelid
	LEFT JOIN (SELECT m.objid AS contypid FROM member m WHERE m.classid = 'pg_type'::regclass) t ON t.contypid = o.contypid
	WHERE c.oid IS NOT NULL OR t.contypid IS NOT NULL
	UNION ALL
	SELECT concat_ws(' | ', 'index', pg_get_indexdef(x.indexrelid), obj_description(x.indexrelid, 'pg_class'))
	FROM relation c JOIN pg_index x ON x.indrelid = c.oid
	UNION ALL
	SELECT concat_ws(' | ', 'trigger', pg_get_triggerdef(t.oid), t.tgenabled) FROM relation c JOIN pg_trigger t ON t.tgrelid = c.oid
	WHERE NOT t.tgisinternal
	UNION ALL
	SELECT concat_ws(' | ', 'part of a type', t.oid::regtype, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
		col_description(t.typrelid, a.attnum))
	FROM pg_type t JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid
		-- since PostgreSQL 17, the types of tables are members, too
		JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c' JOIN pg_attribute a ON a.attrelid = t.typrelid
	UNION ALL
	SELECT concat_ws(' | ', 'label', e.enumtypid::regtype, row_number() OVER (PARTITION BY e.enumtypid ORDER BY e.enumsortorder),
		e.enumlabel)
	FROM pg_enum e JOIN member m ON m.classid = 'pg_type'::regclass AND m.objid = e.enumtypid
	UNION ALL
	SELECT concat_ws(' | ', 'schema', n.nspname, @{[ rights('n', 'n.nspowner', 'n.nspacl') ]})
	FROM pg_namespace n JOIN member m ON m.classid = 'pg_namespace'::regclass AND m.objid = n.oid
	UNION ALL
	SELECT concat_ws(' | ', 'rights that a dump leaves out', i.type, i.identity, (SELECT string_agg(concat_ws(' ',
			CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable), ', '
			ORDER BY a.grantee, a.privilege_type) FROM aclexplode(p.initprivs) a))
	FROM pg_init_privs p JOIN member m ON m.classid = p.classoid AND m.objid = p.objoid, pg_identify_object(p.classoid, p.objoid, 0) i
	UNION ALL
	SELECT concat_ws(' | ', 'dumped', t.oid::regclass, t.condition)
	FROM pg_extension e, unnest(e.extconfig, e.extcondition) AS t (oid, condition) WHERE e.extname = 'kbilling'
	UNION ALL
	SELECT concat_ws(' | ', 'version', e.extversion) FROM pg_extension e WHERE e.extname = 'kbilling'};

# A list in an order of its own; with the rights of all roles, if that is asked for.
sub catalog
{
	my ($node, $database, $with_roles) = @_;
	my $asked = $query =~ s/:others/$with_roles ? 'true' : 'false'/egr;
	my $rows = $node->safe_psql($database, "SET search_path = pg_catalog; SELECT chr(30) || d FROM ($asked) x (d)");
	return [ sort split /\x1e/, $rows ];
}

1;
