-- What bookings go by: an organization's settings, lanes of services, services that may run together, and rounding
-- rules that have a first day.

-- +goose Up
ALTER TABLE organizations
    ADD COLUMN late_cancel_hours   integer  NOT NULL DEFAULT 24,    -- before the start: who cancels later cancels late
    ADD COLUMN no_show_consumes    boolean  NOT NULL DEFAULT false, -- whether units stay used when the patient does not come
    ADD COLUMN session_edit_hours  integer  NOT NULL DEFAULT 72,    -- after the end, while a session can be changed
    ADD CONSTRAINT organizations_late_cancel_hours_within_month CHECK (late_cancel_hours BETWEEN 0 AND 720),
    ADD CONSTRAINT organizations_session_edit_hours_within_year CHECK (session_edit_hours BETWEEN 0 AND 8760);

ALTER TABLE service_codes
    ADD COLUMN lane  text  NOT NULL DEFAULT 'DIRECT', -- one service at a time in each, for one patient
    ADD CONSTRAINT service_codes_lane CHECK (lane IN ('DIRECT', 'SUPERVISION', 'CAREGIVER', 'ASSESSMENT'));
UPDATE service_codes SET lane = CASE code WHEN '97151' THEN 'ASSESSMENT' WHEN '97155' THEN 'SUPERVISION' ELSE 'CAREGIVER' END
WHERE code IN ('97151', '97155', '97156', '97157');

-- Codes of services of different lanes that may run at the same time for one patient. No foreign key: a pair may
-- stand here before its codes are entered. The collation is that of the program, which brings codes into their order.
CREATE TABLE service_pairs (
    organization_id  uuid              NOT NULL,
    code             text  COLLATE "C" NOT NULL,
    other_code       text  COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, code, other_code),
    CONSTRAINT service_pairs_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT service_pairs_in_order CHECK (code < other_code)
);
INSERT INTO service_pairs SELECT id, '97153', '97155' FROM organizations;

-- How a payer turns minutes into units, from a day on until the next rule. A rule that has begun is never changed, so
-- that units of old sessions can be computed again.
CREATE TABLE payer_rounding_rules (
    organization_id  uuid  NOT NULL,
    payer_id         uuid  NOT NULL,
    starts_on        date  NOT NULL,
    method           text  NOT NULL,
    PRIMARY KEY (organization_id, payer_id, starts_on),
    CONSTRAINT payer_rounding_rules_payer FOREIGN KEY (organization_id, payer_id)
        REFERENCES payers (organization_id, id),
    CONSTRAINT payer_rounding_rules_method CHECK (method IN ('CEIL', 'FLOOR', 'MIDPOINT', 'CMS_TOTAL'))
);
INSERT INTO payer_rounding_rules SELECT organization_id, id, '0001-01-01', rounding FROM payers;
ALTER TABLE payers DROP COLUMN rounding;

-- +goose Down
ALTER TABLE payers ADD COLUMN rounding text NOT NULL DEFAULT 'CEIL';
UPDATE payers p SET rounding = coalesce((
    SELECT r.method FROM payer_rounding_rules r
    WHERE r.organization_id = p.organization_id AND r.payer_id = p.id AND r.starts_on <= current_date
    ORDER BY r.starts_on DESC LIMIT 1), 'CEIL');
ALTER TABLE payers ADD CONSTRAINT payers_rounding CHECK (rounding IN ('CEIL', 'FLOOR', 'MIDPOINT', 'CMS_TOTAL'));
DROP TABLE payer_rounding_rules;
DROP TABLE service_pairs;
ALTER TABLE service_codes DROP COLUMN lane;
ALTER TABLE organizations
    DROP COLUMN late_cancel_hours,
    DROP COLUMN no_show_consumes,
    DROP COLUMN session_edit_hours;
