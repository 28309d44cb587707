-- Who answers for a webhook: events are sent to it as far as that user may read them at that moment.

-- +goose Up
ALTER TABLE webhooks ADD COLUMN answered_by uuid; -- none: of a webhook from before, nobody is known, and nothing is sent
-- Who entered it, or has last said where it goes, what it gets, or that it is active.
UPDATE webhooks w SET answered_by = (
    SELECT e.actor_id FROM audit_events e JOIN users u ON u.organization_id = e.organization_id AND u.id = e.actor_id
    WHERE e.organization_id = w.organization_id AND e.subject_id = w.id AND e.outcome = 'done'
      AND (e.action = 'webhook.create' OR e.action = 'webhook.change' AND (
           e.after::jsonb -> 'changed' ?| ARRAY['url', 'types']
           OR e.after::jsonb -> 'changed' ? 'active' AND e.after::jsonb ->> 'active' = 'true'))
    ORDER BY e.occurred_at DESC, e.sequence DESC LIMIT 1);
ALTER TABLE webhooks ADD CONSTRAINT webhooks_answered_by FOREIGN KEY (organization_id, answered_by)
    REFERENCES users (organization_id, id);

ALTER TABLE webhook_deliveries
    DROP CONSTRAINT webhook_deliveries_state,
    ADD CONSTRAINT webhook_deliveries_state CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD', 'WITHHELD'));

-- +goose Down
UPDATE webhook_deliveries SET state = 'DEAD' WHERE state = 'WITHHELD';
ALTER TABLE webhook_deliveries
    DROP CONSTRAINT webhook_deliveries_state,
    ADD CONSTRAINT webhook_deliveries_state CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD'));
ALTER TABLE webhooks DROP CONSTRAINT webhooks_answered_by, DROP COLUMN answered_by;
