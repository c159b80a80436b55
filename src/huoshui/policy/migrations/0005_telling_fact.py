from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('policy', '0004_funds'),
    ]

    operations = [
        migrations.AddField(
            model_name='telling',
            name='fact',
            field=models.CharField(blank=True, default='', max_length=50),
            preserve_default=False,
        ),
    ]
