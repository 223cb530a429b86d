CREATE SCHEMA kbilling;

COMMENT ON SCHEMA kbilling IS 'billing rules of a subscription service';
