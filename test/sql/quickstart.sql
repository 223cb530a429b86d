SET datestyle = iso;
\i examples/quickstart.sql
