"""Labels of other forms to the kit's: rigs of one's own cameras, converters of data sets, mended copies of labels.

The modules of `rds` beside this folder import nothing of it. `rig_proposal.propose_rig` drafts a rig file from poses
and intrinsics; `drive.write_drive` writes any drive as RDS-HQ; `formats.find_converter` picks the reader of a data set.
"""
