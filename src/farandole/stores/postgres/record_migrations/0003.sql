-- Events of one type are found in the order of the record, so that the oldest of them can be forgotten first.
DROP INDEX farandole_record_type;
CREATE INDEX farandole_record_type ON farandole_record (type, number);
