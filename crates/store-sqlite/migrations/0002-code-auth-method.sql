-- How the client authenticated when it pushed the request that the code came of; NULL if a browser
-- brought the request (CIMD-65).
ALTER TABLE codes ADD COLUMN auth_method TEXT;
