package cli

import (
	"fmt"

	"omnirapeutic/app"
	"omnirapeutic/platform/programname"
)

type backupCommand struct {
	To        string   `required:"" help:"The folder for the backup." placeholder:"FOLDER" type:"path"`
	Recipient []string `help:"Encrypt for this public key of age; may be repeated." placeholder:"age1…"`
	Keep      int      `help:"Keep this number of backups in the folder, and remove older ones; default: all." placeholder:"N"`
}

// Help explains the command.
func (backupCommand) Help() string {
	return `Writes all data of the private PostgreSQL into one compressed file, also while the program serves.
The backup has every request that was answered before the command started. Create a pair of keys with
age-keygen, keep the private key elsewhere, and name the public key with --recipient: then a copy of the file
reveals nothing. The secrets of the configuration (OMNI_TOKEN_SECRET, OMNI_SECRET_…) are not in the backup.`
}

// Run writes a backup.
func (b backupCommand) Run(e environment) error {
	if b.Keep < 0 {
		return exitError{fmt.Errorf("--keep must be a number of backups, or 0 for all, not %d", b.Keep), ExitUsage}
	}
	c, err := e.settings()
	if err != nil {
		return err
	}
	written, err := app.Back(e.context, c, app.BackupOptions{Folder: b.To, Recipients: b.Recipient, Keep: b.Keep}, e.logger(c))
	if err != nil {
		return err
	}
	const mega = 1e6
	fmt.Printf("Wrote %s (%.1f MB, %d files).\n", written.Path, float64(written.Bytes)/mega, written.Files)
	for _, name := range written.Removed {
		fmt.Printf("Removed %s.\n", name)
	}
	return nil
}

type restoreCommand struct {
	File     string `arg:"" help:"The backup." type:"existingfile"`
	Identity string `help:"The file with the private key of age, for an encrypted backup." placeholder:"FILE" type:"existingfile"`
}

// Help explains the command.
func (restoreCommand) Help() string {
	return `Creates the private PostgreSQL in the data folder (OMNI_DATA_DIR) from a backup. A folder that has data
is refused and stays as it is. Then run verify, and serve as before. PostgreSQL must have the major version
that it had when the backup was written.`
}

// Run restores a backup.
func (r restoreCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	restored, err := app.RestoreBackup(c, r.File, r.Identity, e.logger(c))
	if err != nil {
		return err
	}
	fmt.Printf("Restored the backup of %s (%d files) into %s.\nNow run: %s\n",
		restored.Begun.Local().Format("2006-01-02 15:04:05 MST"), restored.Files, c.DataDir, programname.Command("verify"))
	return nil
}
