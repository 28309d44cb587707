package user

import "omnirapeutic/platform/db"

const ownPractitionerSQL = `SELECT linked_user.practitioner_id FROM users linked_user
	WHERE linked_user.organization_id = @scope_organization AND linked_user.id = @scope_user`

// Links returns the queries that link users to their practitioner, to the patients of its caseload,
// and to the patients of whom they are guardians. Record scopes consist of them, see
// [db.RecordScope]. Indexes: users_pkey, caseloads_pkey, guardians_pkey.
func Links() db.Links {
	return db.Links{
		Practitioner: ownPractitionerSQL,
		Caseload: `SELECT assigned.patient_id FROM caseloads assigned
			WHERE assigned.organization_id = @scope_organization AND assigned.practitioner_id = (` + ownPractitionerSQL + `)`,
		Children: `SELECT child.patient_id FROM guardians child
			WHERE child.organization_id = @scope_organization AND child.user_id = @scope_user`,
	}
}
