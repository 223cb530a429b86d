SELECT * FROM kbilling.kb_current_usage(:account);
